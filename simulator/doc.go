// Package simulator plays what stands around the appliance: Meta's side of WhatsApp Business Calling (Graph API, webhooks,
// the permission model, customers with real ICE-lite WebRTC media, a browser page on which a person is the customer) and,
// in phone*.go, a desk phone. Everything happens over real sockets. It is built from Meta's contract and shares no wire
// code with the packages it tests; it refuses what Meta refuses and can be told to misbehave.
//
// It is not a load generator for Meta, and nothing in it may run in production.
//
// Goroutines: Meta owns its HTTP server, one actor and one webhook outbox per call, and every retry; Close stops and waits
// for all of them. A call's peer owns its media goroutines and ends with the call.
package simulator
