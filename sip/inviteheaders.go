package sip

import (
	msg "github.com/emiago/sipgo/sip"

	"deskbridge/bridge"
)

// anonymousUser is the From of a customer of whom we know neither number nor alias.
const anonymousUser = "anonymous"

// fromHeader is the customer as the phone shows it: profile name, and a user part that can be dialled back (design §6).
func fromHeader(inv bridge.Invite, host string) msg.FromHeader {
	user := userPart(inv.Customer.Dialable())
	if user == "" {
		user = anonymousUser
	}
	return msg.FromHeader{
		DisplayName: displayName(callerName(inv)),
		Address:     msg.Uri{Scheme: "sip", User: user, Host: host},
	}
}

func callerName(inv bridge.Invite) string {
	if inv.Customer.Name != "" {
		return inv.Customer.Name
	}
	return inv.Customer.Username
}

// inviteHeaders are the headers of design §6 on every INVITE we send. All of it may be written by the customer, so all of
// it is cleaned: no header of ours can be ended early.
func inviteHeaders(inv bridge.Invite) []msg.Header {
	var out []msg.Header
	add := func(name, value string) {
		if v := headerText(value); v != "" {
			out = append(out, msg.NewHeader(name, v))
		}
	}
	if user := userPart(inv.Customer.Dialable()); user != "" {
		out = append(out, msg.NewHeader("P-Asserted-Identity", `"`+displayName(callerName(inv))+`" <sip:`+user+`@deskbridge.invalid>`))
	}
	add("X-Deskbridge-Call", inv.Call)
	add("X-WhatsApp-Call-ID", inv.Wacid)
	add("X-WhatsApp-Line", inv.Line)
	add("X-WhatsApp-User", customerID(inv.Customer))
	add("X-WhatsApp-Payload", inv.Payload)
	out = append(out, msg.NewHeader("Alert-Info", "<urn:alert:source:external>;info=whatsapp"))
	return out
}

func customerID(c bridge.Customer) string {
	if c.BSUID != "" {
		return c.BSUID
	}
	return c.Phone
}
