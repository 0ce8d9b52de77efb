package admin

import "sync"

// Bounds of what lasts long.
const (
	maxStreams     = 256
	maxStreamsEach = 8
	maxExports     = 4
	maxExportsEach = 1
)

// slots bound what a user, and all of them together, may have open at once.
type slots struct {
	all, each int
	mu        sync.Mutex
	total     int
	by        map[string]int
}

func newSlots(all, each int) *slots { return &slots{all: all, each: each, by: map[string]int{}} }

// take returns nil when there is none left.
func (s *slots) take(user string) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= s.all || s.by[user] >= s.each {
		return nil
	}
	s.total++
	s.by[user]++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.total--
		if s.by[user]--; s.by[user] == 0 {
			delete(s.by, user)
		}
	})
}
