package appliance

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"deskbridge/bridge"
	"deskbridge/ivr"
	"deskbridge/media"
	"deskbridge/policy"
	"deskbridge/recorder"
)

// ruleRecording is the rule of a refusal because a call of a line that must record could not be recorded.
const ruleRecording = "line.recording"

// sayLimit bounds the putting together of an announcement; nothing in it is spoken by machine.
const sayLimit = 2 * time.Second

// recordingPlan says whether a line's call is recorded. Which calls of a share are is decided by the call's ID: the same
// call, asked twice, is or is not.
func (d *dialPlan) recordingPlan(ctx context.Context, p *plant, l Line, call string) bridge.RecordingPlan {
	r := l.Recording
	plan := bridge.RecordingPlan{Mode: bridge.RecordMode(r.Mode), Toggle: p.toggle(r)}
	switch plan.Mode {
	case bridge.RecordDemand:
	case bridge.RecordAlways:
		if r.Percent > 0 && share(call) >= r.Percent {
			return bridge.RecordingPlan{}
		}
	default:
		return bridge.RecordingPlan{}
	}
	switch r.Consent {
	case "beep":
		plan.Consent, plan.ConsentRate = consentBeep(), ivr.Rate
	case "announcement":
		var key byte
		if r.RefuseKey != "" {
			key = r.RefuseKey[0]
			plan.Refuse = media.Digit(key)
		}
		ctx, cancel := context.WithTimeout(ctx, sayLimit)
		defer cancel()
		plan.Consent, plan.ConsentRate = d.prompts.Say(ctx, l.Language, ivr.SayConsent(key)...), ivr.Rate
		if len(plan.Consent) == 0 { // nothing is recorded that nobody was told of
			d.log.Error("the recording announcement cannot be said, so the call is not recorded", "call", call, "line", l.ID)
			return bridge.RecordingPlan{}
		}
	}
	return plan
}

// share is a number from 0 to 99 that a call's ID stands for.
func share(call string) int {
	sum := sha256.Sum256([]byte("recording share\x00" + call))
	return int(binary.BigEndian.Uint64(sum[:]) % 100)
}

// consentBeep is the tone that tells of a recording: 1400 Hz, as recorder warning tones have (CCITT Blue Book, Q.35 annex).
func consentBeep() []int16 {
	return append(media.Tone(1400, ivr.Rate, 400*time.Millisecond), make([]int16, ivr.Rate/5)...)
}

// toggle are the keys that pause and resume, as the line says, else as the feature codes say.
func (p *plant) toggle(r LineRecording) string {
	switch r.Toggle {
	case toggleNone:
		return ""
	case "":
		for _, c := range p.codes {
			if c.Feature == ivr.FeatureRecording {
				return c.Digits
			}
		}
		return ""
	}
	return r.Toggle
}

// recordingGate refuses the calls of a line that must record while recordings cannot be written (reliability promise 6).
type recordingGate struct {
	desk bridge.Authorizer
	plan *dialPlan
	disk func() recorder.Disk
}

var _ bridge.Authorizer = recordingGate{}

// Authorize implements bridge.Authorizer.
func (g recordingGate) Authorize(ctx context.Context, a bridge.Attempt) (policy.Decision, error) {
	if l, ok := g.plan.plant.Load().line(a.Line); ok && l.Recording.Required {
		if s := g.disk().State; s != recorder.Fine {
			return policy.Decision{
				Rule: ruleRecording, Key: ruleRecording, Params: map[string]string{"disk": s.String()},
				Sentence: "Every call of this line must be recorded, and recordings cannot be written now: the recording disk is " + s.String() + ".",
			}, nil
		}
	}
	return g.desk.Authorize(ctx, a)
}
