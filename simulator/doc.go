// Package simulator plays what stands around the appliance: Meta's side of WhatsApp Business Calling (Graph API, webhooks,
// the permission model, customers with real ICE-lite WebRTC media, a browser page on which a person is the customer) and,
// in phone*.go, a desk phone. Everything happens over real sockets. It is built from Meta's contract and shares no wire
// code with the packages it tests; it refuses what Meta refuses and can be told to misbehave.
//
// Time at Meta is Meta.Clock: permissions, quotas, windows, restrictions, call hours and call buttons end by it. How long
// things take (Timing) is real time.
//
// Where the contract leaves a choice, this is what is played: a decline takes back only what the same request gave; a request
// lives seven days from the last answer to it; 2359 as a closing time means the end of the day; a holiday window is closed
// time; call_hours needs zone and week even when DISABLED; account_settings_update is sent when one of its five settings
// became another, not when it was set to what it was; a restriction ends without a webhook.
//
// It is not a load generator for Meta, and nothing in it may run in production.
//
// Goroutines: Meta owns its HTTP server, one actor and one webhook outbox per call, and every retry; Close stops and waits
// for all of them. A call's peer owns its media goroutines and ends with the call.
package simulator
