//go:build !wasip1 || !wireplug_farewell

package wireplug

type sessionOfFarewell interface{}
