package frontdesk

import (
	"context"
	"fmt"

	"deskbridge/policy"
)

// Adopted is how a line's settings are at Meta, in the words of the line's own: with these in force nothing differs, except SIP, which
// cannot be wanted on. (The hours of a holiday may be written once more in other words: the same times, closed beside the open ones.)
type Adopted struct {
	Wanted Wanted
	Hours  policy.Hours // the line's own where it does not push them
}

// Adopt reads what somebody else made of a line's settings at Meta, so that the company's can be made the same. What the line leaves
// alone at Meta stays so. Nothing is changed.
func (d *Desk) Adopt(ctx context.Context, line string) (Adopted, error) {
	l, ok := d.line(line)
	if !ok {
		return Adopted{}, fmt.Errorf("adopt settings: line %q: %w", line, errNoLine)
	}
	told, err := l.Number.Settings(ctx)
	if err != nil {
		return Adopted{}, fmt.Errorf("adopt settings: %w", err)
	}
	if l.Wanted.Hours && told.HoursUnread > 0 {
		return Adopted{}, fmt.Errorf("adopt settings: line %q: %d spans of the call hours at WhatsApp could not be read; set them here and apply", line, told.HoursUnread)
	}
	out := Adopted{Wanted: l.Wanted, Hours: l.Hours}
	theirs := func(own *string, told string) {
		if *own != "" {
			*own = told
		}
	}
	theirs(&out.Wanted.Calling, told.Status)
	theirs(&out.Wanted.Icons, told.Icons)
	theirs(&out.Wanted.Callback, told.Callback)
	if out.Wanted.Codecs != nil {
		out.Wanted.Codecs = append([]string{}, told.ExtraCodecs...)
	}
	if out.Wanted.Hours {
		out.Hours = policyHours(told.Hours, l.Hours)
	}
	return out, nil
}
