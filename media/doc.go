// Package media is the audio of a call: codecs, the reorder window, loss concealment, conversion between codecs, DTMF
// events, the outgoing line of a leg, and test signals. It knows no SIP, no WebRTC and no sockets; it starts no goroutine
// of its own except the timers of an Outlet or a Player, which end with it. Per packet nothing here allocates, logs or takes a
// lock shared between calls.
package media
