package admin

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Role is what somebody may do. Each may do what the ones before may.
type Role string

// The roles (design §11).
const (
	Agent      Role = "agent"       // sees the calls they handled
	Supervisor Role = "supervisor"  // sees their teams'
	SuperAgent Role = "super_agent" // sees all calls
	Admin      Role = "admin"       // everything
)

// Roles are all of them, the least first.
var Roles = []Role{Agent, Supervisor, SuperAgent, Admin}

// Covers reports whether r may do what needs may.
func (r Role) Covers(needs Role) bool {
	return slices.Index(Roles, r) >= slices.Index(Roles, needs) && slices.Contains(Roles, r)
}

// User is a person who may sign in, without their secrets.
type User struct {
	ID       string    `json:"id"`
	Login    string    `json:"login"`
	Name     string    `json:"name" doc:"What people read."`
	Role     Role      `json:"role"`
	Teams    []string  `json:"teams" nullable:"false"`
	Targets  []string  `json:"targets" nullable:"false" doc:"The telephones that are theirs: phone:EXTENSION or trunk:NAME/NUMBER."`
	Disabled bool      `json:"disabled"`
	Language string    `json:"language" enum:"id,en"`
	Theme    string    `json:"theme" enum:"light,dark,auto"`
	TOTP     bool      `json:"totp" doc:"A second factor is in use."`
	Created  time.Time `json:"created"`
	Version  uint64    `json:"version"`
}

// account is a user with everything that is kept about them.
type account struct {
	User
	Hash     string    `json:"hash"`
	Factor   factor    `json:"factor,omitzero"`
	Password time.Time `json:"password_changed"`
}

func (a account) record() (AccountRecord, error) {
	doc, err := json.Marshal(a)
	if err != nil {
		return AccountRecord{}, fmt.Errorf("encode account: %w", err)
	}
	return AccountRecord{ID: a.ID, Login: a.Login, Version: a.Version, Doc: doc}, nil
}

func accountOf(r AccountRecord) (a account, err error) {
	if err := json.Unmarshal(r.Doc, &a); err != nil {
		return a, fmt.Errorf("decode account %s: %w", r.ID, err)
	}
	a.ID, a.Login, a.Version = r.ID, r.Login, r.Version
	a.TOTP = a.Factor.Confirmed
	return a, nil
}

var (
	loginForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9._@+-]{1,63}$`)
	targetForm = regexp.MustCompile(`^(phone:[0-9]{2,8}|trunk:[a-z0-9][a-z0-9-]{0,31}/[0-9A-Za-z._+*#-]{1,32})$`)
)

// Limits of what a user consists of.
const (
	maxUserName    = 64
	maxTeams       = 32
	maxUserTargets = 32
	minPassword    = 10
	maxPassword    = 256
)

// normal brings a user into the form that is kept, or says what is wrong.
func (u User) normal() (User, error) {
	u.Login = strings.ToLower(strings.TrimSpace(u.Login))
	u.Name = strings.TrimSpace(u.Name)
	if u.Name == "" {
		u.Name = u.Login
	}
	if u.Language == "" {
		u.Language = "en"
	}
	if u.Theme == "" {
		u.Theme = "auto"
	}
	u.Teams, u.Targets = tidy(u.Teams), tidy(u.Targets)
	switch {
	case !loginForm.MatchString(u.Login):
		return u, fmt.Errorf("%w: a login has 2 to 64 of a-z, 0-9 and . _ @ + -", ErrInvalid)
	case !printable(u.Name, maxUserName):
		return u, fmt.Errorf("%w: a name has at most %d printable characters", ErrInvalid, maxUserName)
	case !slices.Contains(Roles, u.Role):
		return u, fmt.Errorf("%w: there is no role %q; use agent, supervisor, super_agent or admin", ErrInvalid, u.Role)
	case len(u.Teams) > maxTeams || slices.ContainsFunc(u.Teams, func(t string) bool { return !printable(t, maxUserName) }):
		return u, fmt.Errorf("%w: at most %d teams, each with at most %d printable characters", ErrInvalid, maxTeams, maxUserName)
	case len(u.Targets) > maxUserTargets:
		return u, fmt.Errorf("%w: at most %d targets", ErrInvalid, maxUserTargets)
	case !slices.Contains([]string{"id", "en"}, u.Language):
		return u, fmt.Errorf("%w: the language is id or en", ErrInvalid)
	case !slices.Contains([]string{"light", "dark", "auto"}, u.Theme):
		return u, fmt.Errorf("%w: the theme is light, dark or auto", ErrInvalid)
	}
	for _, t := range u.Targets {
		if !targetForm.MatchString(t) {
			return u, fmt.Errorf("%w: %q is not a target; write phone:EXTENSION or trunk:NAME/NUMBER", ErrInvalid, t)
		}
	}
	return u, nil
}

// tidy trims, sorts and removes what is empty or twice.
func tidy(list []string) []string {
	out := []string{}
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func printable(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && clean(s) == s
}

// clean takes out what could disguise a text from outside: control characters and those that turn the direction of
// writing or are invisible (Unicode Cc, Cf but for the joiners that scripts and emoji need).
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\u200c' || r == '\u200d':
			return r
		case r < 0x20 || r >= 0x7f && r < 0xa0,
			r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f, r == 0xfeff, r == 0x61c, r == 0xad,
			r >= 0xfff9 && r <= 0xfffb, r >= 0xe0000 && r <= 0xe007f:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

func checkPassword(login, password string) error {
	switch {
	case utf8.RuneCountInString(password) < minPassword:
		return fmt.Errorf("%w: a password has at least %d characters", ErrInvalid, minPassword)
	case len(password) > maxPassword:
		return fmt.Errorf("%w: a password has at most %d bytes", ErrInvalid, maxPassword)
	case strings.EqualFold(password, login):
		return fmt.Errorf("%w: the password is the login", ErrInvalid)
	}
	return nil
}
