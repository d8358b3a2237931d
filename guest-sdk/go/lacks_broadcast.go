//go:build !wasip1 || !wireplug_broadcast

package wireplug

type sessionOfBroadcast interface{}

type codecOfBroadcast interface{}
