//go:build !wasip1 || !wireplug_framer

package wireplug

type sessionOfFramer interface{}
