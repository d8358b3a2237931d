//go:build !wasip1 || !wireplug_tls_upgrade

package wireplug

type sessionOfTLSUpgrade interface{}
