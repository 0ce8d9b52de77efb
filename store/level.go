package store

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Level is how well the disk is doing. Higher is worse.
type Level int32

// The levels of the disk guards.
const (
	Fine     Level = iota
	Low            // optional writes and recordings should stop
	Tight          // only call facts, customers and webhooks are written
	Full           // nothing is written; call facts wait in memory
	ReadOnly       // the file system refuses writes; as Full
	Stuck          // a write doesn't come back; as Full
)

// String is the level's name for logs and the API.
func (l Level) String() string {
	switch l {
	case Fine:
		return "fine"
	case Low:
		return "low"
	case Tight:
		return "tight"
	case Full:
		return "full"
	case ReadOnly:
		return "read-only"
	case Stuck:
		return "stuck"
	}
	return fmt.Sprintf("Level(%d)", int32(l))
}

// levelOf is the level for a measured disk. given is what the ballast has already handed back: it doesn't count as free,
// or the level would flap each time the ballast is made again.
func (l Limits) levelOf(sp Space, given int64) Level {
	free := sp.Free - given
	switch {
	case sp.ReadOnly:
		return ReadOnly
	case free < l.Full:
		return Full
	case free < l.Tight:
		return Tight
	case free < l.Low:
		return Low
	}
	return Fine
}

// class says at which level a write is refused.
type class uint8

const (
	classCall     class = iota // call facts and customers: never refused, they wait
	classInbox                 // webhooks and what follows from them and from calls: refused at Full
	classNormal                // refused at Tight
	classOptional              // refused at Low
)

// refuses is the error a write of this class meets at this level, or nil.
func (l Level) refuses(c class) error {
	limit := map[class]Level{classCall: Full, classInbox: Full, classNormal: Tight, classOptional: Low}[c]
	switch {
	case l < limit:
		return nil
	case l == Stuck:
		return ErrStuck
	default:
		return fmt.Errorf("%w: level %s; free space on the data disk", ErrDiskFull, l)
	}
}

func statfs(dir string) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Space{}, fmt.Errorf("statfs %s: %w", dir, err)
	}
	// ST_RDONLY of statfs(2) has the same value as MS_RDONLY.
	return Space{Free: int64(st.Bavail) * st.Bsize, ReadOnly: st.Flags&unix.MS_RDONLY != 0}, nil
}
