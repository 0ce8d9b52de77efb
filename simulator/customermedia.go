package simulator

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Play changes what the customer's microphone hears, from the next frame on.
func (cc *CustomerCall) Play(p Playback) error {
	cc.mu.Lock()
	cc.playing = p
	peer := cc.peer
	cc.mu.Unlock()
	if peer == nil {
		_, err := newFrames(p)
		return err
	}
	return peer.sender.play(p)
}

// Impair changes what the network does to the customer's packets.
func (cc *CustomerCall) Impair(i Impairment) {
	if p := cc.peerNow(); p != nil {
		p.sender.setImpairment(i)
	}
}

// Mute stops and resumes the customer's RTP.
func (cc *CustomerCall) Mute(on bool) {
	if p := cc.peerNow(); p != nil {
		p.sender.mute(on)
	}
}

// SendDigits presses keys and waits until the last is sent.
func (cc *CustomerCall) SendDigits(ctx context.Context, digits string) error {
	p := cc.peerNow()
	if p == nil {
		return errors.New("send digits: no media")
	}
	done, err := p.sender.dial(digits)
	if err != nil {
		return fmt.Errorf("send digits: %w", err)
	}
	select {
	case <-done:
		return nil
	case <-cc.ended:
		return errors.New("send digits: the call ended")
	case <-ctx.Done():
		return fmt.Errorf("send digits: %w", ctx.Err())
	}
}

// SendBye sends an RTCP BYE. It ends nothing.
func (cc *CustomerCall) SendBye() error {
	p := cc.peerNow()
	if p == nil {
		return errors.New("send BYE: no media")
	}
	return p.bye()
}

// Vanish takes the customer off the network: nothing arrives, nothing leaves, STUN included. Return brings them back.
// With a shared media port only the customer's own RTP stops.
func (cc *CustomerCall) Vanish() { cc.setGone(true) }

// Return undoes Vanish.
func (cc *CustomerCall) Return() { cc.setGone(false) }

func (cc *CustomerCall) setGone(gone bool) {
	p := cc.peerNow()
	if p == nil {
		return
	}
	p.sender.mute(gone)
	if p.ownRelay {
		p.relay.conn.gone.Store(gone)
	}
}

// MediaUp is closed when DTLS is through; nil before there is media.
func (cc *CustomerCall) MediaUp() <-chan struct{} {
	if p := cc.peerNow(); p != nil {
		return p.up
	}
	return nil
}

// WaitMedia waits for DTLS.
func (cc *CustomerCall) WaitMedia(ctx context.Context) error {
	select {
	case <-cc.MediaUp():
		return nil
	case <-cc.ended:
		return errors.New("call ended before its media came up")
	case <-ctx.Done():
		return fmt.Errorf("waiting for media: %w", ctx.Err())
	}
}

// Heard decodes everything the customer has heard so far to mono PCM at rate (8000, 16000 or 48000). Its timeline is that
// of the RTP timestamps: missing packets are zeros.
func (cc *CustomerCall) Heard(rate int) ([]int16, error) {
	return decode(cc.heard.audio(time.Time{}, time.Time{}), rate)
}

// HeardBetween is Heard for the packets that arrived from a time on, up to another (zero: no bound).
func (cc *CustomerCall) HeardBetween(rate int, from, to time.Time) ([]int16, error) {
	return decode(cc.heard.audio(from, to), rate)
}

// WaitHeard waits until n audio packets have arrived.
func (cc *CustomerCall) WaitHeard(ctx context.Context, n int) error {
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	for {
		got := cc.heard.audioCount()
		if got >= n {
			return nil
		}
		select {
		case <-t.C:
		case <-cc.ended:
			return fmt.Errorf("call ended after %d of %d audio packets", got, n)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %d audio packets, %d came: %w", n, got, ctx.Err())
		}
	}
}

// Packets copies the raw packet log.
func (cc *CustomerCall) Packets() []Packet {
	cc.heard.mu.Lock()
	defer cc.heard.mu.Unlock()
	return append([]Packet(nil), cc.heard.packets...)
}

// Digits are the DTMF digits the business sent.
func (cc *CustomerCall) Digits() string {
	cc.heard.mu.Lock()
	defer cc.heard.mu.Unlock()
	return string(cc.heard.digits)
}

// Violations lists what the business did wrong so far.
func (cc *CustomerCall) Violations() []Violation {
	cc.heard.mu.Lock()
	defer cc.heard.mu.Unlock()
	return append([]Violation(nil), cc.heard.violations...)
}

// RTCPCount says how many RTCP packets came in all, and how many of them before the business might send.
func (cc *CustomerCall) RTCPCount() (all, early int) {
	cc.heard.mu.Lock()
	defer cc.heard.mu.Unlock()
	return cc.heard.rtcps, cc.heard.earlyRTCP
}

// AcceptedAt is the real time from which the business might send; zero before.
func (cc *CustomerCall) AcceptedAt() time.Time {
	cc.heard.mu.Lock()
	defer cc.heard.mu.Unlock()
	return cc.heard.opened
}
