package appliance

import (
	"context"
	"slices"
	"strings"
	"time"

	"deskbridge/admin"
	"deskbridge/bridge"
	"deskbridge/policy"
	"deskbridge/store"
)

// maxTimelinePages bounds the pages of one kind of thing that are read for a page of the timeline.
const maxTimelinePages = 40

// peerOfTarget is where a telephone's own calls come from: "trunk:pbx/200" calls over "trunk:pbx".
func peerOfTarget(target string) string {
	peer, _, _ := strings.Cut(target, "/")
	return peer
}

func messageRecord(m store.Message) admin.MessageRecord {
	return admin.MessageRecord{ID: m.ID, Line: m.Line, Out: m.Out, Kind: m.Kind, Text: m.Text, Template: m.Template, Status: string(m.Status), By: m.By, At: m.At}
}

// gathering is the entries of a page of a timeline: of each kind one more than the page holds, the newest first.
type gathering struct {
	q    admin.TimelineQuery
	list []admin.TimelineEntry
}

// takes says whether an entry at this time and line belongs to the page or those before it.
func (g *gathering) takes(line string, at time.Time) bool {
	return (g.q.Line == "" || g.q.Line == line) && (g.q.Before.IsZero() || at.Before(g.q.Before))
}

// CustomerTimeline implements admin.CustomerDesk.
func (p panelDesk) CustomerTimeline(ctx context.Context, q admin.TimelineQuery) ([]admin.TimelineEntry, time.Time, error) {
	g := &gathering{q: q}
	for _, gather := range []func(context.Context, *gathering) error{p.gatherCalls, p.gatherMessages, p.gatherPermissions, p.gatherCallbacks} {
		if err := gather(ctx, g); err != nil {
			return nil, time.Time{}, panelError(err)
		}
	}
	list := g.list
	slices.SortStableFunc(list, func(a, b admin.TimelineEntry) int { return b.At.Compare(a.At) })
	end := q.Limit
	for end < len(list) && list[end].At.Equal(list[end-1].At) { // the next page begins before this time
		end++
	}
	if end >= len(list) {
		return list, time.Time{}, nil
	}
	return list[:end], list[end-1].At, nil
}

func (p panelDesk) gatherCalls(ctx context.Context, g *gathering) error {
	put := func(c bridge.CDR) {
		if g.takes(c.Line, c.OfferedAt) {
			r := callRecord(c)
			g.list = append(g.list, admin.TimelineEntry{At: c.OfferedAt, Call: &r})
		}
	}
	for _, c := range p.running(g.q.Customer, g.q.Scope) {
		put(c)
	}
	s := store.CallSearch{Limit: g.q.Limit + 1, Customer: g.q.Customer, Line: g.q.Line, To: g.q.Before}
	s.Targets, s.Rang = seen(g.q.Scope, nil)
	n := 0
	for range maxTimelinePages {
		found, err := p.a.store.SearchCalls(ctx, s)
		if err != nil {
			return err
		}
		for _, c := range found.Calls {
			put(c)
			n++
		}
		if s.After = found.Next; s.After == "" || n > g.q.Limit {
			break
		}
	}
	return nil
}

func (p panelDesk) gatherMessages(ctx context.Context, g *gathering) error {
	q := store.ConversationQuery{Customer: g.q.Customer, Line: g.q.Line, Span: store.Span{Limit: 500}}
	n := 0
	for range maxTimelinePages {
		page, err := p.a.store.Conversation(ctx, q)
		if err != nil {
			return err
		}
		for _, m := range page.Items {
			if n <= g.q.Limit && g.takes(m.Line, m.At) {
				r := messageRecord(m)
				g.list = append(g.list, admin.TimelineEntry{At: m.At, Message: &r})
				n++
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" || n > g.q.Limit {
			break
		}
	}
	return nil
}

// wordsAboutPermission are the events that people want to read. The others count calls and messages, which are there themselves.
var wordsAboutPermission = map[policy.EventKind]bool{
	policy.EventRequested: true, policy.EventRequestRefused: true, policy.EventGranted: true, policy.EventDeclined: true, policy.EventRevoked: true,
	policy.EventOverride: true, policy.EventBlocked: true, policy.EventFreed: true,
}

func (p panelDesk) gatherPermissions(ctx context.Context, g *gathering) error {
	var kept []admin.TimelineEntry
	for after := uint64(0); ; {
		page, err := p.a.store.PolicyEvents(ctx, g.q.Line, g.q.Customer, after, 1000)
		if err != nil {
			return err
		}
		for _, e := range page {
			after = e.Seq
			if !wordsAboutPermission[e.Kind] || !g.takes(e.Line, e.At) {
				continue
			}
			kept = append(kept, admin.TimelineEntry{At: e.At, Permission: &admin.PermissionEvent{Kind: string(e.Kind), Line: e.Line, Permanent: e.Permanent,
				Expires: e.Expires, Automatic: e.Automatic, Outcome: string(e.Outcome), By: e.By, Reason: shownReason(e.Reason)}})
		}
		// They come in the order of the ledger, which may not be that of their times: the newest by time are kept.
		slices.SortStableFunc(kept, func(a, b admin.TimelineEntry) int { return b.At.Compare(a.At) })
		kept = newest(kept, g.q.Limit)
		if len(page) < 1000 {
			g.list = append(g.list, kept...)
			return nil
		}
	}
}

// newest are the first entries of a list that is sorted, one more than a page holds and those of the same time.
func newest(list []admin.TimelineEntry, limit int) []admin.TimelineEntry {
	end := min(limit+1, len(list))
	for end > 0 && end < len(list) && list[end].At.Equal(list[end-1].At) {
		end++
	}
	return list[:end]
}

// shownReason: after an erasure only that there was one is left.
func shownReason(r string) string {
	if r == "~" {
		return ""
	}
	return r
}

func (p panelDesk) gatherCallbacks(ctx context.Context, g *gathering) error {
	q := store.CallbackQuery{Customer: g.q.Customer, Line: g.q.Line, Span: store.Span{Limit: 500}}
	n := 0
	for range maxTimelinePages {
		page, err := p.a.store.Callbacks(ctx, q)
		if err != nil {
			return err
		}
		for _, cb := range page.Items {
			if n <= g.q.Limit && g.takes(cb.Line, cb.RequestedAt) {
				r := p.callbackRecord(ctx, cb)
				g.list = append(g.list, admin.TimelineEntry{At: cb.RequestedAt, Callback: &r})
				n++
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" || n > g.q.Limit {
			break
		}
	}
	return nil
}
