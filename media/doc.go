// Package media is the audio of a call: codecs, the reorder window, loss concealment, conversion between codecs, DTMF
// events, the outgoing line of a leg, and test signals. It knows no SIP and no WebRTC, and of the network only the UDP
// socket both kinds of leg read and write (Socket); it starts no goroutine of its own except the timers of an Outlet or a
// Player, which end with it. Per packet nothing here allocates, logs or takes a lock shared between calls.
package media
