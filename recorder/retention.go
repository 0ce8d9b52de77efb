package recorder

import "time"

// Item is a recording as retention and archive see it.
type Item struct {
	ID       string // hex
	Call     string
	Line     string
	Path     string // below the recording folder, slashes
	Started  time.Time
	Bytes    int64
	SHA256   [32]byte
	Finished bool // complete, or settled after a crash; an open one is left alone
	Held     bool // under a legal hold
	Deleted  bool // the ledger says so; its file may still be there after a crash

	CopiedTo string // where the verified copy is, as Archive.Copy returned it; empty: none
}

// Rules say how long recordings are kept. The zero Rules keep all.
type Rules struct {
	Days      int            // 0: no limit
	LineDays  map[string]int // by line, instead of Days
	Quota     int64          // bytes of all recordings; 0: no limit
	LocalDays int            // the file goes after so many days if its copy is verified; 0: it stays
}

// Why a recording is deleted, as the ledger keeps it.
const (
	WhyRetention = "retention"
	WhyQuota     = "quota"
	WhyArchived  = "archived" // its copy stays
	WhyErased    = "erased"
)

// Removal is one recording that is to be deleted.
type Removal struct {
	Item Item
	Why  string
}

const day = 24 * time.Hour

// PlanRemovals says which of these recordings, oldest first, are to be deleted, and why. excess is by how many bytes all
// recordings together exceed the quota; what is still over it after these is returned. A recording under a legal hold, or
// still being written, is never among them, whatever it costs; one that is not older than now is not either.
func PlanRemovals(list []Item, r Rules, excess int64, now time.Time) (removals []Removal, left int64) {
	for _, it := range list {
		if why := r.why(it, excess, now); why != "" {
			removals = append(removals, Removal{it, why})
			excess -= it.Bytes
		}
	}
	return removals, excess
}

func (r Rules) why(it Item, excess int64, now time.Time) string {
	age := now.Sub(it.Started)
	switch days := r.daysOf(it.Line); {
	case it.Held || it.Deleted || !it.Finished || age < 0:
		return ""
	case days > 0 && age >= time.Duration(days)*day:
		return WhyRetention
	case r.LocalDays > 0 && it.CopiedTo != "" && age >= time.Duration(r.LocalDays)*day:
		return WhyArchived
	case excess > 0:
		return WhyQuota
	}
	return ""
}

func (r Rules) daysOf(line string) int {
	if d, ok := r.LineDays[line]; ok {
		return d
	}
	return r.Days
}

// soonest is the age below which nothing is deleted but for the quota; 0: nothing is deleted for its age at all.
func (r Rules) soonest() time.Duration {
	least := 0
	lower := func(d int) {
		if d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	lower(r.Days)
	lower(r.LocalDays)
	for _, d := range r.LineDays {
		lower(d)
	}
	return time.Duration(least) * day
}
