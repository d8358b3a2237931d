package ids

// writer appends numbers in LEB128, and texts behind their length.
type writer []byte

func (w *writer) number(number uint64) {
	for ; number >= 0x80; number >>= 7 {
		*w = append(*w, byte(number)|0x80)
	}
	*w = append(*w, byte(number))
}

func (w *writer) text(text string) {
	w.number(uint64(len(text)))
	*w = append(*w, text...)
}

// reader reads what a writer has written. After a mistake it has failed, and reads zeros.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) number() uint64 {
	number := uint64(0)
	for shift := 0; shift < 64; shift += 7 {
		if len(r.rest) == 0 {
			break
		}
		next := r.rest[0]
		r.rest = r.rest[1:]
		number |= uint64(next&0x7f) << shift
		if next < 0x80 {
			return number
		}
	}
	r.fail()
	return 0
}

func (r *reader) text() string {
	length := r.number()
	if length > uint64(len(r.rest)) {
		r.fail()
		return ""
	}
	text := string(r.rest[:length])
	r.rest = r.rest[length:]
	return text
}

func (r *reader) fail() {
	r.rest, r.failed = nil, true
}
