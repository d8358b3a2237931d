//go:build !wasip1 || !wireplug_handoff

package wireplug

type sessionOfHandoff interface{}

type codecOfHandoff[S Session] interface{}
