//go:build !wasip1 || !wireplug_clock

package wireplug

type sessionOfClock interface{}
