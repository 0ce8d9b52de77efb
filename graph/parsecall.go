package graph

import (
	"encoding/json"
	"strings"
	"time"
)

type callJSON struct {
	ID         text `json:"id"`
	From       text `json:"from"`
	FromUser   text `json:"from_user_id"`
	FromParent text `json:"from_parent_user_id"`
	To         text `json:"to"`
	ToUser     text `json:"to_user_id"`
	ToParent   text `json:"to_parent_user_id"`
	Event      text `json:"event"`
	Direction  enum `json:"direction"`
	Timestamp  num  `json:"timestamp"`
	Data       text `json:"biz_opaque_callback_data"`
	DeepLink   text `json:"deeplink_payload"`
	Button     text `json:"cta_payload"`
	Session    struct {
		Type text `json:"sdp_type"`
		SDP  text `json:"sdp"`
	} `json:"session"`
	Status    enum           `json:"status"`
	Start     num            `json:"start_time"`
	End       num            `json:"end_time"`
	Duration  num            `json:"duration"`
	Reason    text           `json:"terminate_reason"`
	Errors    []webhookError `json:"errors"`
	Recording struct {
		Audio struct {
			ID text `json:"id"`
		} `json:"audio"`
	} `json:"call_recording"`
	Transcript struct {
		Document struct {
			ID text `json:"id"`
		} `json:"document"`
	} `json:"call_transcript"`
}

func (p *parser) call(raw json.RawMessage) Event {
	e := p.base
	var j callJSON
	if err := json.Unmarshal(raw, &j); err != nil && !isTypeError(err) {
		p.rewrap(&e, nil, "calls", raw)
		return e
	}
	e.ID = clip(string(j.ID), maxID)
	e.Name = clip(strings.ToLower(string(j.Event)), 64)
	e.At = at(j.Timestamp, e.sent)
	e.CallbackData = clip(string(j.Data), maxID)
	e.Errors = append(e.Errors, webhookErrors(j.Errors)...)
	e.Call = &Call{
		Inbound: inbound(&j), SDPType: clip(strings.ToLower(string(j.Session.Type)), 16), SDP: sdpText(j.Session.SDP),
		DeepLink: clip(string(j.DeepLink), maxID), Button: clip(string(j.Button), maxID),
		Start: j.Start.time(), End: j.End.time(), Duration: time.Duration(min(max(j.Duration, 0), 1e8)) * time.Second,
		Outcome: string(j.Status), Reason: clip(string(j.Reason), 128),
		MediaID: clip(first(string(j.Recording.Audio.ID), string(j.Transcript.Document.ID)), maxID),
	}
	who := identity(j.From, j.FromUser, j.FromParent)
	if !e.Call.Inbound {
		who = identity(j.To, j.ToUser, j.ToParent)
	}
	if who.Phone == e.Display {
		who.Phone = "" // one documented sample swaps from and to (§7.1): our own number is nobody's customer
	}
	id, c := p.identify(who)
	e.Customer = id
	e.Kind = callKind(e.Name, e.ID)
	p.rewrap(&e, c, "calls", raw)
	return e
}

func callKind(name, id string) Kind {
	switch {
	case id == "":
		return KindUnknown
	case name == "connect":
		return KindConnect
	case name == "terminate":
		return KindTerminate
	case name == "call_created", name == "call_recording_available", name == "call_transcription_available":
		return KindCallOther
	}
	return KindUnknown
}

// inbound: direction may be missing, then an offer can only be the customer's (§7.1), and only the side that was called
// by us carries our callback data.
func inbound(j *callJSON) bool {
	switch j.Direction {
	case "USER_INITIATED":
		return true
	case "BUSINESS_INITIATED":
		return false
	}
	if j.Session.Type != "" {
		return strings.EqualFold(string(j.Session.Type), "offer")
	}
	return j.ToUser == "" && j.Data == ""
}

// sdpText drops an SDP beyond the limit whole: half an SDP is none.
func sdpText(s text) string {
	if len(s) > maxSDP {
		return ""
	}
	return string(s)
}

// status handles both kinds: of calls on the field "calls", of messages on "messages".
func (p *parser) status(raw json.RawMessage) Event {
	e := p.base
	var j struct {
		ID        text           `json:"id"`
		Status    enum           `json:"status"`
		Type      enum           `json:"type"`
		Timestamp num            `json:"timestamp"`
		Phone     text           `json:"recipient_id"`
		User      text           `json:"recipient_user_id"`
		Parent    text           `json:"recipient_parent_user_id"`
		OldParent text           `json:"parent_recipient_user_id"`
		Data      text           `json:"biz_opaque_callback_data"`
		Errors    []webhookError `json:"errors"`
	}
	if err := json.Unmarshal(raw, &j); err != nil && !isTypeError(err) {
		p.rewrap(&e, nil, "statuses", raw)
		return e
	}
	e.ID, e.Name, e.At = clip(string(j.ID), maxID), clip(string(j.Status), 64), at(j.Timestamp, e.sent)
	e.CallbackData = clip(string(j.Data), maxID)
	e.Errors = append(e.Errors, webhookErrors(j.Errors)...)
	id, c := p.identify(identity(j.Phone, j.User, text(first(string(j.Parent), string(j.OldParent)))))
	e.Customer = id
	if j.ID != "" && j.Status != "" {
		e.Kind = KindMessageStatus
		if strings.EqualFold(e.Field, "calls") || j.Type == "CALL" {
			e.Kind = callStatusKind(e.Name)
		}
	}
	p.rewrap(&e, c, "statuses", raw)
	return e
}

func callStatusKind(name string) Kind {
	switch name {
	case "RINGING", "ACCEPTED", "REJECTED":
		return KindCallStatus
	}
	return KindUnknown
}
