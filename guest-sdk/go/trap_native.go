//go:build !wasip1

package wireplug

// noteAt notes the position in the input of the call, which only a component shows.
func noteAt(uint32) {}
