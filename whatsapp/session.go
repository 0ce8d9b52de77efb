package whatsapp

import (
	"time"

	"deskbridge/media"
)

// session is the media of one call, as the leg sees it: mediaSession, or a fake in tests.
type session interface {
	Offer() (string, error)
	Answer(offer string) (string, error)
	ApplyAnswer(answer string) error
	Start()
	Stream() media.Stream
	OpenGate()
	LastReceived() time.Time
	Close()
}

// openSession opens the socket of one call.
type openSession func(mediaHandlers) (session, error)

// noStream is the audio of a leg that could not get a socket; the leg ends before anyone hears of it.
type noStream struct{}

func (noStream) Format() media.Format    { return media.Format{} }
func (noStream) SetSink(media.Sink)      {}
func (noStream) SendFrame(*media.Frame)  {}
func (noStream) SendDigit(media.Digit)   {}
func (noStream) Stats() (st media.Stats) { st.RemoteLoss = -1; return st }
