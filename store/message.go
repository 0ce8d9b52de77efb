package store

import (
	"context"
	"fmt"
	"time"
)

// MessageStatus is how far a message got.
type MessageStatus string

// The statuses, in their order: a message only moves on. Failed ranks below delivered because a handset's word that it has
// the message beats an earlier report that it could not be sent.
const (
	MessageReceived  MessageStatus = "received" // from the customer
	MessageSending   MessageStatus = "sending"  // kept before it is sent; after a restart: uncertain
	MessageAccepted  MessageStatus = "accepted" // Meta has it and named it
	MessageSent      MessageStatus = "sent"
	MessageFailed    MessageStatus = "failed"
	MessageDelivered MessageStatus = "delivered"
	MessageRead      MessageStatus = "read"
)

var messageRank = map[MessageStatus]int{MessageSending: 0, MessageAccepted: 1, MessageSent: 2, MessageFailed: 3,
	MessageDelivered: 4, MessageRead: 5}

// Message is one chat message between a line and a customer.
type Message struct {
	ID       string        `json:"id"` // ours
	Line     string        `json:"line"`
	Customer string        `json:"customer"`
	Out      bool          `json:"out,omitempty"`
	Kind     string        `json:"kind"`               // "text", "permission_request", "call_button", "template", "image", …
	Template string        `json:"template,omitempty"` // its name
	Call     string        `json:"call,omitempty"`     // the call it belongs to
	By       string        `json:"by,omitempty"`       // outgoing: "phone:1001", "user:anna", "auto"
	At       time.Time     `json:"at"`
	Status   MessageStatus `json:"status"`
	StatusAt time.Time     `json:"status_at,omitzero"`
	Code     int           `json:"code,omitempty"` // failed: Meta's error code
	// Name is the mask of Wamid, which status reports are found by; it survives an erasure.
	Name  string `json:"name,omitempty"`
	Wamid string `json:"wamid,omitempty"` // personal: the number is encoded in it
	Text  string `json:"text,omitempty"`  // personal
}

func (m *Message) id() string         { return m.ID }
func (m *Message) who() *string       { return &m.Customer }
func (m *Message) private() []*string { return []*string{&m.Wamid, &m.Text} }
func (m *Message) rev() *uint64       { return nil }
func (m *Message) about() []string    { return subjects(m.Line, m.Customer, m.Call) }

// The facts of a message; each carries the message as it stands after it.
const (
	factMessageIn     = "message.in"
	factMessageOut    = "message.out" // written before it is sent
	factMessageStatus = "message.status"
)

// The indexes of messages.
const (
	messageByWho     = 'c' // + customer 0 + time: the conversation
	messageByName    = 'w' // + masked wamid
	messageUncertain = 'u' // + time: sending
)

var messageRows = rows[Message, *Message]{table: tabMessage, noun: "message",
	kinds: []string{factMessageIn, factMessageOut, factMessageStatus},
	index: func(m *Message) [][]byte {
		keys := [][]byte{indexKey(indexPrefix(tabMessage, messageByWho, m.Customer), m.At, m.ID)}
		if m.Name != "" {
			keys = append(keys, indexPrefix(tabMessage, messageByName, m.Name))
		}
		if m.Status == MessageSending {
			keys = append(keys, indexKey(indexPrefix(tabMessage, messageUncertain), m.At, m.ID))
		}
		return keys
	}}

// ReceiveMessage keeps what a customer wrote. The same wamid again is a duplicate: nothing changes and the first one is
// returned.
func (s *Store) ReceiveMessage(ctx context.Context, m Message) (out Message, duplicate bool, err error) {
	if m.Wamid == "" {
		return out, false, fmt.Errorf("receive message: %w: no wamid", ErrInvalid)
	}
	m.ID, m.Out, m.Status = s.derivedID("n", m.Wamid), false, MessageReceived
	out, duplicate, err = s.newMessage(ctx, factMessageIn, m)
	return out, duplicate, wrap(err, "receive message")
}

// BeginMessage keeps an outgoing message before it is sent, as sending. Then send it and say how it went with
// SetMessageStatus. An ID that is there already is a duplicate: don't send.
func (s *Store) BeginMessage(ctx context.Context, m Message) (out Message, duplicate bool, err error) {
	if m.ID == "" {
		m.ID = newID("n")
	}
	m.Out, m.Status, m.Wamid = true, MessageSending, ""
	out, duplicate, err = s.newMessage(ctx, factMessageOut, m)
	return out, duplicate, wrap(err, "begin message")
}

func (s *Store) newMessage(ctx context.Context, kind string, m Message) (out Message, duplicate bool, err error) {
	if err := checkPair(m.Line, m.Customer); err != nil {
		return out, false, err
	}
	if m.At.IsZero() || m.Kind == "" || len(m.Wamid) > maxWamid {
		return out, false, fmt.Errorf("%w: message without time or kind, or with a name of over %d bytes", ErrInvalid, maxWamid)
	}
	m.StatusAt, m.Text = m.At, limited(m.Text, maxText)
	dup := false
	out, _, err = messageRows.edit(ctx, s, edit{classInbox, m.ID, m.At}, func(t *tx, old *Message, found bool) (string, error) {
		if dup = found; dup {
			return "", nil
		}
		m.Name = t.mask(m.Wamid)
		*old = m
		return kind, nil
	})
	if err != nil {
		return Message{}, false, err
	}
	return out, dup, nil
}

const (
	maxText  = 4096 // characters; Meta's limit for a text message
	maxWamid = 512
)

// MessageUpdate is a report about an outgoing message.
type MessageUpdate struct {
	ID     string // ours; empty: found by Wamid
	Wamid  string // with ID: Meta's name for it, learned now
	Status MessageStatus
	At     time.Time
	Code   int // failed: Meta's error code
}

// SetMessageStatus moves a message on; a report that comes late or twice changes nothing. ErrNotFound: no such message, or
// one that Meta's answer hasn't named yet, when a report overtakes that answer; try again then.
func (s *Store) SetMessageStatus(ctx context.Context, u MessageUpdate) (out Message, changed bool, err error) {
	rank, known := messageRank[u.Status]
	if !known || u.At.IsZero() || len(u.Wamid) > maxWamid || u.ID == "" && u.Wamid == "" {
		return out, false, fmt.Errorf("message status %q: %w: status, time or name", u.Status, ErrInvalid)
	}
	if u.ID == "" {
		if u.ID, err = s.messageNamed(ctx, u.Wamid); err != nil {
			return out, false, fmt.Errorf("message status: %w", err)
		}
	}
	did := false
	out, _, err = messageRows.edit(ctx, s, edit{classInbox, u.ID, u.At}, func(t *tx, m *Message, found bool) (string, error) {
		did = false
		switch {
		case !found:
			return "", ErrNotFound
		case !m.Out:
			return "", fmt.Errorf("%w: status of a received message", ErrInvalid)
		}
		if m.Name == "" && u.Wamid != "" {
			m.Wamid, m.Name, did = u.Wamid, t.mask(u.Wamid), true
		}
		if rank > messageRank[m.Status] {
			m.Status, m.StatusAt, m.Code, did = u.Status, u.At, u.Code, true
		}
		if !did {
			return "", nil
		}
		return factMessageStatus, nil
	})
	if err != nil {
		return Message{}, false, fmt.Errorf("message status: %w", err)
	}
	return out, did, nil
}

func (s *Store) messageNamed(ctx context.Context, wamid string) (id string, err error) {
	err = s.view(ctx, func(t *tx) error {
		b, err := t.get(indexPrefix(tabMessage, messageByName, t.mask(wamid)))
		id = string(b)
		return err
	})
	return id, err
}

// ConversationQuery selects a customer's messages, newest first.
type ConversationQuery struct {
	Span
	Customer string // also what was written under IDs merged into this one
	Line     string // empty: all lines
}

// Conversation lists a customer's messages.
func (s *Store) Conversation(ctx context.Context, q ConversationQuery) (page Page[Message], err error) {
	err = s.view(ctx, func(t *tx) error {
		ids, err := t.everyID(q.Customer)
		if err != nil {
			return err
		}
		w := walk{newest: true}
		for _, id := range ids {
			w.prefixes = append(w.prefixes, indexPrefix(tabMessage, messageByWho, id))
		}
		page, err = messageRows.list(ctx, t, w, q.Span, func(m *Message) bool { return q.Line == "" || q.Line == m.Line })
		return err
	})
	return page, wrap(err, "conversation")
}

// UncertainMessages are the outgoing messages of which nobody knows whether Meta has them, oldest first: the process ended
// between the write and the answer. Don't send them again; a status report may still tell.
func (s *Store) UncertainMessages(ctx context.Context, span Span) (page Page[Message], err error) {
	err = s.view(ctx, func(t *tx) error {
		page, err = messageRows.list(ctx, t, walk{prefixes: [][]byte{indexPrefix(tabMessage, messageUncertain)}}, span, nil)
		return err
	})
	return page, wrap(err, "uncertain messages")
}
