// Package bridge is the call itself: two legs, the pure state machine that joins them, the relay of their audio, and the
// record of what happened. It knows neither SIP nor WhatsApp: both are a Leg. One goroutine per call owns its state;
// legs send it events and never share memory with it.
package bridge
