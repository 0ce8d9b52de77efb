package graph

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The limits of GET call_permissions: Meta's pages disagree between 5/s and 100/s, so 5 (§10.2).
const (
	permissionRate    = 5
	permissionTTL     = 30 * time.Second
	permissionAnswers = 4096
	maxNumbers        = 1024
)

// Action names of Permissions.
const (
	ActionStartCall      = "start_call"
	ActionSendPermission = "send_call_permission_request"
)

// The periods of Meta's quotas (§10.2).
const (
	PeriodDay  = "PT24H"
	PeriodWeek = "P7D"
)

// Limit is one quota of an action.
type Limit struct {
	Period  string // ISO 8601, "PT24H", "P7D"
	Max     int64
	Used    int64
	Expires time.Time // when the quota frees up; set only while exhausted
}

// Left is how often the action is still possible within the period.
func (l Limit) Left() int64 { return max(0, l.Max-l.Used) }

// Action is what Meta lets us do now.
type Action struct {
	Allowed bool
	Limits  []Limit
}

// Permissions is Meta's view of one customer and number.
type Permissions struct {
	Status  string    // no_permission, temporary, permanent; lower case
	Expires time.Time // temporary only, Meta's own timestamp
	Actions map[string]Action
	At      time.Time // when Meta said so
}

// Allowed is Meta's can_perform_action. An action Meta did not speak of is not allowed.
func (p Permissions) Allowed(action string) bool { return p.Actions[action].Allowed }

// Limit is the action's quota for a period such as PeriodDay, however Meta writes it: P1D is PT24H. ok is false when Meta named
// none; trust what it named above any number in a document (§10.2).
func (p Permissions) Limit(action, period string) (l Limit, ok bool) {
	want, known := parsePeriod(period)
	for _, l := range p.Actions[action].Limits {
		if got, ok := parsePeriod(l.Period); strings.EqualFold(l.Period, period) || (ok && known && got == want) {
			return l, true
		}
	}
	return Limit{}, false
}

var periodForm = regexp.MustCompile(`^P(?:([0-9]{1,4})W)?(?:([0-9]{1,4})D)?(?:T(?:([0-9]{1,5})H)?(?:([0-9]{1,6})M)?(?:([0-9]{1,8})S)?)?$`)

// parsePeriod reads an ISO 8601 duration of weeks, days, hours, minutes and seconds; years and months have no fixed length.
func parsePeriod(s string) (time.Duration, bool) {
	if len(s) > 32 {
		return 0, false
	}
	m := periodForm.FindStringSubmatch(strings.ToUpper(s))
	if m == nil {
		return 0, false
	}
	var d time.Duration
	for i, unit := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.Atoi("0" + m[i+1]) // nothing or a few digits
		d += time.Duration(n) * unit
	}
	return d, d > 0
}

// NextAllowed is when the action's exhausted quota frees up, zero when Meta did not say.
func (p Permissions) NextAllowed(action string) time.Time {
	var t time.Time
	for _, l := range p.Actions[action].Limits {
		if l.Expires.After(t) {
			t = l.Expires
		}
	}
	return t
}

// CallPermissions asks whether the number may call the customer, or repeats Meta's answer of the last 30 s.
func (c *Client) CallPermissions(ctx context.Context, number string, who Recipient) (Permissions, error) {
	if p, ok := c.perms.get(permissionKey(number, who), c.now()); ok {
		return p, nil
	}
	return c.FreshCallPermissions(ctx, number, who)
}

// FreshCallPermissions asks whatever the cache holds. Requests above 5/s per number wait for their turn.
func (c *Client) FreshCallPermissions(ctx context.Context, number string, who Recipient) (Permissions, error) {
	query := url.Values{}
	switch phone := digits(who.Phone); {
	case phone != "":
		query.Set("user_wa_id", phone)
	case who.BSUID != "":
		query.Set("recipient", who.BSUID)
	default:
		return Permissions{}, fmt.Errorf("call permissions: %w", ErrRecipient)
	}
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	if err := c.perms.wait(ctx, number); err != nil {
		return Permissions{}, fmt.Errorf("call permissions: wait for a turn: %w", err)
	}
	var out permissionsJSON
	r := request{action: "call_permissions", method: http.MethodGet, path: "/" + segment(number) + "/call_permissions", query: query}
	if _, err := c.do(ctx, r, &out); err != nil {
		return Permissions{}, fmt.Errorf("call permissions: %w", err)
	}
	if out.Permission.Status == "" {
		return Permissions{}, fmt.Errorf("call permissions: %w: no status", ErrAnswer)
	}
	p := out.permissions(c.now())
	c.perms.put(permissionKey(number, who), p)
	return p, nil
}

// ForgetPermissions drops the cached answer, after a reply or a call changed it.
func (c *Client) ForgetPermissions(number string, who Recipient) {
	c.perms.drop(permissionKey(number, Recipient{Phone: who.Phone}))
	c.perms.drop(permissionKey(number, Recipient{BSUID: who.BSUID}))
}

type permissionsJSON struct {
	Permission struct {
		Status     text `json:"status"`
		Expiration num  `json:"expiration"` // the table's name for it
		Expires    num  `json:"expiration_time"`
	} `json:"permission"`
	Actions []struct {
		Name    text `json:"action_name"`
		Allowed flag `json:"can_perform_action"`
		Limits  []struct {
			Period  text `json:"time_period"`
			Max     num  `json:"max_allowed"`
			Used    num  `json:"current_usage"`
			Expires num  `json:"limit_expiration_time"`
		} `json:"limits"`
	} `json:"actions"`
}

func (j permissionsJSON) permissions(now time.Time) Permissions {
	p := Permissions{Status: strings.ToLower(string(j.Permission.Status)), At: now, Actions: map[string]Action{}}
	p.Expires = max(j.Permission.Expires, j.Permission.Expiration).time()
	for i, a := range j.Actions {
		if i == 16 {
			break
		}
		action := Action{Allowed: bool(a.Allowed)}
		for k, l := range a.Limits {
			if k == 8 {
				break
			}
			action.Limits = append(action.Limits, Limit{Period: clip(string(l.Period), 32), Max: int64(l.Max), Used: int64(l.Used), Expires: l.Expires.time()})
		}
		p.Actions[strings.ToLower(clip(string(a.Name), 64))] = action
	}
	return p
}

func permissionKey(number string, who Recipient) string {
	if d := digits(who.Phone); d != "" {
		return number + " +" + d
	}
	return number + " " + who.BSUID
}

// permissionCache is the 30 s memory and the rate limit per number. Both maps are bounded.
type permissionCache struct {
	mu      sync.Mutex
	answers map[string]Permissions
	turns   map[string]*rate.Limiter
}

func newPermissionCache() *permissionCache {
	return &permissionCache{answers: map[string]Permissions{}, turns: map[string]*rate.Limiter{}}
}

func (pc *permissionCache) get(key string, now time.Time) (Permissions, bool) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	p, ok := pc.answers[key]
	// A clock set back must not keep an answer alive.
	if age := now.Sub(p.At); !ok || age >= permissionTTL || age < 0 {
		return Permissions{}, false
	}
	return p, true
}

func (pc *permissionCache) put(key string, p Permissions) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if len(pc.answers) >= permissionAnswers {
		for k, old := range pc.answers {
			if p.At.Sub(old.At) >= permissionTTL {
				delete(pc.answers, k)
			}
		}
		if len(pc.answers) >= permissionAnswers {
			clear(pc.answers) // only a cache: the next question is asked afresh
		}
	}
	pc.answers[key] = p
}

func (pc *permissionCache) drop(key string) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	delete(pc.answers, key)
}

func (pc *permissionCache) wait(ctx context.Context, number string) error {
	pc.mu.Lock()
	l := pc.turns[number]
	if l == nil {
		if len(pc.turns) >= maxNumbers {
			clear(pc.turns)
		}
		l = rate.NewLimiter(permissionRate, permissionRate)
		pc.turns[number] = l
	}
	pc.mu.Unlock()
	return l.Wait(ctx)
}
