package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"deskbridge/admin"
	"deskbridge/bridge"
	"deskbridge/store"
)

// panelStore is the store as admin wants it.
type panelStore struct{ s *store.Store }

var (
	_ admin.AccountStore    = panelStore{}
	_ admin.CredentialStore = panelStore{}
	_ admin.AuditLog        = panelStore{}
	_ admin.CallStore       = panelStore{}
)

// panelErrors are the store's errors in admin's words.
var panelErrors = map[error]error{
	store.ErrNotFound: admin.ErrNotFound, store.ErrVersion: admin.ErrConflict, store.ErrExists: admin.ErrTaken, store.ErrInvalid: admin.ErrInvalid,
	store.ErrTooLarge: admin.ErrInvalid, store.ErrDiskFull: admin.ErrUnavailable, store.ErrStuck: admin.ErrUnavailable,
	store.ErrUnavailable: admin.ErrUnavailable, store.ErrClosed: admin.ErrUnavailable,
}

func panelError(err error) error {
	for from, to := range panelErrors {
		if errors.Is(err, from) {
			return fmt.Errorf("%w: %w", to, err)
		}
	}
	return err
}

// The audit log: facts of the ledger that name the subject "audit". Names, addresses and settings are personal or
// confidential, so all of it is sealed.

const auditSubject = "audit"

func auditFact(e admin.Event) store.Fact {
	doc, err := json.Marshal(e)
	if err != nil { // before or after is no JSON; they come from json.Marshal
		doc = []byte(`{}`)
	}
	subjects := []string{auditSubject}
	if e.Object != "" && len(e.Object) <= 100 && !versioned(e.Object) {
		subjects = append(subjects, e.Object)
	}
	return store.Fact{Kind: "audit." + e.Action, At: e.At, Subjects: subjects, Version: 1, Personal: doc}
}

// versioned are the objects whose version is the newest fact about them: an entry of the audit log must not look like a change of one.
func versioned(object string) bool {
	return strings.HasPrefix(object, "callback:") || strings.HasPrefix(object, "line:")
}

func auditFacts(e *admin.Event) []store.Fact {
	if e == nil {
		return nil
	}
	return []store.Fact{auditFact(*e)}
}

// Record implements admin.AuditLog.
func (p panelStore) Record(ctx context.Context, e admin.Event) error {
	_, err := p.s.Append(ctx, auditFact(e))
	return panelError(err)
}

// Events implements admin.AuditLog.
func (p panelStore) Events(ctx context.Context, before uint64, limit int) ([]admin.Event, uint64, error) {
	facts, next, err := p.s.NewestFacts(ctx, auditSubject, before, limit)
	if err != nil {
		return nil, 0, panelError(err)
	}
	var list []admin.Event
	for _, f := range facts {
		e := admin.Event{Action: strings.TrimPrefix(f.Kind, "audit."), At: f.At}
		if len(f.Personal) > 0 {
			if err := json.Unmarshal(f.Personal, &e); err != nil {
				return nil, 0, fmt.Errorf("read audit event %d: %w", f.Seq, err)
			}
		}
		e.Seq = f.Seq
		list = append(list, e)
	}
	return list, next, nil
}

// Account implements admin.AccountStore.
func (p panelStore) Account(ctx context.Context, id string) (admin.AccountRecord, error) {
	a, err := p.s.Account(ctx, id)
	return admin.AccountRecord(a), panelError(err)
}

// AccountByLogin implements admin.AccountStore.
func (p panelStore) AccountByLogin(ctx context.Context, login string) (admin.AccountRecord, error) {
	a, err := p.s.AccountByLogin(ctx, login)
	return admin.AccountRecord(a), panelError(err)
}

// Accounts implements admin.AccountStore.
func (p panelStore) Accounts(ctx context.Context) (list []admin.AccountRecord, err error) {
	all, err := p.s.Accounts(ctx)
	for _, a := range all {
		list = append(list, admin.AccountRecord(a))
	}
	return list, panelError(err)
}

// PutAccount implements admin.AccountStore.
func (p panelStore) PutAccount(ctx context.Context, a admin.AccountRecord, first bool, e admin.Event) (uint64, error) {
	put := p.s.PutAccount
	if first {
		put = p.s.PutFirstAccount
	}
	v, err := put(ctx, store.Account(a), auditFact(e))
	return v, panelError(err)
}

// DropAccount implements admin.AccountStore.
func (p panelStore) DropAccount(ctx context.Context, id string, version uint64, e admin.Event) error {
	return panelError(p.s.DropAccount(ctx, id, version, auditFact(e)))
}

func storeKind(k admin.CredentialKind) store.CredentialKind {
	if k == admin.TokenKind {
		return store.TokenCredential
	}
	return store.SessionCredential
}

func storeCredential(c admin.CredentialRecord) store.Credential {
	return store.Credential{Kind: storeKind(c.Kind), ID: c.ID, User: c.User, Expires: c.Expires, Doc: c.Doc}
}

func adminCredential(k admin.CredentialKind, c store.Credential) admin.CredentialRecord {
	return admin.CredentialRecord{Kind: k, ID: c.ID, User: c.User, Expires: c.Expires, Doc: c.Doc}
}

// PutCredential implements admin.CredentialStore.
func (p panelStore) PutCredential(ctx context.Context, secret string, c admin.CredentialRecord, e *admin.Event) error {
	return panelError(p.s.PutCredential(ctx, secret, storeCredential(c), auditFacts(e)...))
}

// RenewCredential implements admin.CredentialStore.
func (p panelStore) RenewCredential(ctx context.Context, secret string, c admin.CredentialRecord) error {
	return panelError(p.s.RenewCredential(ctx, secret, storeCredential(c)))
}

// Credential implements admin.CredentialStore.
func (p panelStore) Credential(ctx context.Context, k admin.CredentialKind, secret string) (admin.CredentialRecord, error) {
	c, err := p.s.Credential(ctx, storeKind(k), secret)
	return adminCredential(k, c), panelError(err)
}

// Credentials implements admin.CredentialStore.
func (p panelStore) Credentials(ctx context.Context, k admin.CredentialKind, user string) (list []admin.CredentialRecord, err error) {
	all, err := p.s.Credentials(ctx, storeKind(k), user)
	for _, c := range all {
		list = append(list, adminCredential(k, c))
	}
	return list, panelError(err)
}

// DropCredential implements admin.CredentialStore.
func (p panelStore) DropCredential(ctx context.Context, k admin.CredentialKind, id string, e *admin.Event) error {
	return panelError(p.s.DropCredential(ctx, storeKind(k), id, auditFacts(e)...))
}

// DropCredentials implements admin.CredentialStore.
func (p panelStore) DropCredentials(ctx context.Context, k admin.CredentialKind, user, keep string, e *admin.Event) error {
	return panelError(p.s.DropCredentials(ctx, storeKind(k), user, keep, auditFacts(e)...))
}

// Calls.

var groupNames = map[store.CallGroup]string{
	store.GroupIncoming: "incoming", store.GroupOutgoing: "outgoing", store.GroupMissed: "missed", store.GroupCanceled: "canceled",
}

var sortNames = map[string]store.CallSort{
	"": store.SortNewest, "newest": store.SortNewest, "oldest": store.SortOldest, "longest": store.SortLongest, "shortest": store.SortShortest,
}

func callRecord(c bridge.CDR) admin.CallRecord {
	r := admin.CallRecord{CDR: c, Group: "running"}
	if !c.EndedAt.IsZero() {
		r.Group, r.Talk = groupNames[store.GroupOf(&c)], store.TalkTime(&c)
	}
	return r
}

func callSearch(q admin.CallQuery) (store.CallSearch, error) {
	s := store.CallSearch{
		Limit: q.Limit, After: q.After, Line: q.Line, Reason: bridge.Reason(q.Reason), From: q.From, To: q.To,
		MinTalk: q.MinTalk, MaxTalk: q.MaxTalk, Text: q.Text, TextTargets: q.TextTargets,
	}
	var known bool
	if s.Sort, known = sortNames[q.Sort]; !known {
		return s, fmt.Errorf("%w: there is no order %q", admin.ErrInvalid, q.Sort)
	}
	for g, name := range groupNames {
		if name == q.Group {
			s.Group = g
		}
	}
	if q.Group != "" && s.Group == 0 {
		return s, fmt.Errorf("%w: there is no group %q", admin.ErrInvalid, q.Group)
	}
	s.Targets, s.Rang = seen(q.Scope, q.Targets)
	return s, nil
}

// seen is what two scopes have in common; nil targets mean everybody's.
func seen(scope admin.Scope, narrower *admin.Scope) (targets []string, rang bool) {
	if narrower == nil || narrower.All {
		if scope.All {
			return nil, false
		}
		return append([]string{}, scope.Targets...), scope.Rang
	}
	targets = []string{}
	for _, t := range narrower.Targets {
		if scope.All || contains(scope.Targets, t) {
			targets = append(targets, t)
		}
	}
	return targets, narrower.Rang && (scope.All || scope.Rang)
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// SearchCalls implements admin.CallStore.
func (p panelStore) SearchCalls(ctx context.Context, q admin.CallQuery) (admin.CallPage, error) {
	s, err := callSearch(q)
	if err != nil {
		return admin.CallPage{}, err
	}
	found, err := p.s.SearchCalls(ctx, s)
	if err != nil {
		return admin.CallPage{}, panelError(err)
	}
	page := admin.CallPage{Next: found.Next}
	for _, c := range found.Calls {
		page.Calls = append(page.Calls, callRecord(c))
	}
	return page, nil
}

// CountCalls implements admin.CallStore.
func (p panelStore) CountCalls(ctx context.Context, q admin.CallQuery) (admin.CallCounts, error) {
	s, err := callSearch(q)
	if err != nil {
		return admin.CallCounts{}, err
	}
	n, err := p.s.CountCalls(ctx, s)
	return admin.CallCounts{Incoming: n.Incoming, Outgoing: n.Outgoing, Missed: n.Missed, Canceled: n.Canceled, AtLeast: n.AtLeast}, panelError(err)
}

// Call implements admin.CallStore.
func (p panelStore) Call(ctx context.Context, id string, s admin.Scope) (admin.CallRecord, error) {
	c, err := p.s.Call(ctx, id)
	if err != nil {
		return admin.CallRecord{}, panelError(err)
	}
	if !inScope(&c, s) {
		return admin.CallRecord{}, fmt.Errorf("call %s: %w", id, admin.ErrNotFound)
	}
	return callRecord(c), nil
}

const (
	noteKind     = "note.changed"
	maxTimeline  = 1000
	callFactKind = "call."
)

// Timeline implements admin.CallStore.
func (p panelStore) Timeline(ctx context.Context, id string) (list []admin.CallFact, note *admin.Note, err error) {
	facts, err := p.s.Facts(ctx, store.FactQuery{Subject: "call:" + id, Limit: maxTimeline})
	if err != nil {
		return nil, nil, panelError(err)
	}
	for _, f := range facts {
		t := admin.CallFact{Seq: f.Seq, Kind: f.Kind, At: f.At}
		switch {
		case strings.HasPrefix(f.Kind, callFactKind):
			var c bridge.CDR
			if err := json.Unmarshal(f.Data, &c); err != nil {
				return nil, nil, fmt.Errorf("read fact %d: %w", f.Seq, err)
			}
			t.State, t.Agent = c.State, c.Agent
		case f.Kind == noteKind:
			note = nil
			if f.Personal != nil { // else its customer was erased
				note = new(admin.Note)
				if err := json.Unmarshal(f.Personal, note); err != nil {
					return nil, nil, fmt.Errorf("read note %d: %w", f.Seq, err)
				}
			}
		default:
			continue
		}
		list = append(list, t)
	}
	return list, note, nil
}

// SetNote implements admin.CallStore. The note is sealed under the customer's key and goes with it.
func (p panelStore) SetNote(ctx context.Context, id string, n admin.Note, e admin.Event) error {
	c, err := p.s.Call(ctx, id)
	if err != nil {
		return panelError(err)
	}
	doc, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode note: %w", err)
	}
	owner := c.Customer.ID
	if owner == "" {
		owner = "call:" + id
	}
	note := store.Fact{Kind: noteKind, At: n.At, Subjects: []string{"call:" + id}, Customer: owner, Version: 1, Personal: doc}
	return panelError(p.s.AppendAll(ctx, note, auditFact(e)))
}
