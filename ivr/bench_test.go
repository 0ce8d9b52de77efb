package ivr

import (
	"testing"

	"deskbridge/media"
)

type discard struct{}

func (discard) ReceivePacket(*media.Packet) {}

// BenchmarkSecondOfSpeech is the CPU a menu takes for each second it speaks: 50 frames cut, encoded and handed over.
func BenchmarkSecondOfSpeech(b *testing.B) {
	l := newLibrary(b)
	pcm := l.Say(b.Context(), "en", Prompt("closed.restricted"), Prompt("why.unknown"))
	s := &stream{wake: func() {}}
	v, err := newVoice(s)
	if err != nil {
		b.Fatal(err)
	}
	defer v.stop()
	s.SetSink(discard{})
	v.say(pcm)
	b.ReportAllocs()
	for b.Loop() {
		for range 50 {
			if !v.speaking() {
				v.say(pcm)
			}
			if err := v.frame(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkSecondOfListening is the same while the menu waits for a key.
func BenchmarkSecondOfListening(b *testing.B) {
	s := &stream{wake: func() {}}
	v, err := newVoice(s)
	if err != nil {
		b.Fatal(err)
	}
	defer v.stop()
	s.SetSink(discard{})
	b.ReportAllocs()
	for b.Loop() {
		for range 50 {
			if err := v.frame(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkSay puts together a sentence of cached prompts; BenchmarkPrompt decodes one for the first time.
func BenchmarkSay(b *testing.B) {
	l := newLibrary(b)
	b.ReportAllocs()
	for b.Loop() {
		l.Say(b.Context(), "id", Prompt("why.none"), Phone("+6281234567890"), Number(1945))
	}
}

func BenchmarkPrompt(b *testing.B) {
	l := newLibrary(b)
	for b.Loop() {
		clear(l.cache)
		l.cached = 0
		if _, err := l.prompt("en", "closed.restricted"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestSpeakingAllocatesNothing(t *testing.T) {
	l := newLibrary(t)
	s := &stream{wake: func() {}}
	v, err := newVoice(s)
	if err != nil {
		t.Fatal(err)
	}
	defer v.stop()
	s.SetSink(discard{})
	v.say(l.Say(t.Context(), "en", Prompt("closed.restricted")))
	if n := testing.AllocsPerRun(100, func() { _ = v.frame() }); n != 0 {
		t.Errorf("%.1f allocations per frame", n)
	}
}
