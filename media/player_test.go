package media

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestPlayerPlaysOnItsClock(t *testing.T) {
	for _, f := range []Format{{Opus, 20 * ms}, {PCMA, 30 * ms}, {G722, 20 * ms}} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			var at []time.Duration
			var frames []Frame
			dst := &recordingStream{format: f}
			dst.onFrame = func(fr *Frame) {
				at = append(at, time.Since(began))
				g := *fr
				g.Payload = slices.Clone(fr.Payload)
				frames = append(frames, g)
			}
			p, err := NewPlayer(dst, Tone(440, 48000, 1200*ms), 48000, false)
			if err != nil {
				t.Fatal(err)
			}
			p.Start()
			<-p.Done()
			p.Stop()
			if len(frames) != int(1200*ms/f.PTime) {
				t.Fatalf("%v: %d frames", f, len(frames))
			}
			for i, a := range at {
				if a != time.Duration(i)*f.PTime {
					t.Fatalf("%v: frame %d left at %v", f, i, a)
				}
			}
			pcm := decodeFrames(t, f, frames)
			rate := EncodeRate(f.Codec)
			if freq, level := DominantTone(pcm[rate/10:], rate); math.Abs(freq-440) > 5 || level < 0.9 {
				t.Errorf("%v: %.0f Hz at %.2f", f, freq, level)
			}
		})
	}
}

func TestPlayerLoopsUntilStoppedAndFollowsTheFormat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dst := &recordingStream{}
		p, err := NewPlayer(dst, Tone(440, 16000, 50*ms), 16000, true)
		if err != nil {
			t.Fatal(err)
		}
		p.Start()
		time.Sleep(time.Second - 1) // no format yet: nothing to send
		synctest.Wait()
		if len(dst.frames) != 0 {
			t.Fatalf("%d frames without a format", len(dst.frames))
		}
		p.mu.Lock()
		dst.format = opusFormat
		p.mu.Unlock()
		time.Sleep(time.Second)
		p.Stop()
		n := len(dst.frames)
		time.Sleep(time.Second)
		if n != 50 || len(dst.frames) != n {
			t.Errorf("%d frames in a second, %d after Stop", n, len(dst.frames)-n)
		}
		if freq, level := DominantTone(decodeFrames(t, opusFormat, dst.frames)[3200:], 16000); math.Abs(freq-440) > 5 || level < 0.9 {
			t.Errorf("%.0f Hz at %.2f: the loop clicks", freq, level)
		}
		<-p.Done()
	})
}

func TestWAVReadsBackWhatWasWritten(t *testing.T) {
	for _, rate := range []int{8000, 16000, 48000} {
		pcm := Tone(440, rate, 100*ms)
		var b bytes.Buffer
		if err := WriteWAV(&b, pcm, rate); err != nil {
			t.Fatal(err)
		}
		got, gotRate, err := ReadWAV(&b)
		if err != nil || gotRate != rate || !slices.Equal(got, pcm) {
			t.Errorf("%d Hz: %d samples at %d Hz, %v", rate, len(got), gotRate, err)
		}
	}
}

func TestOtherWAVsAreRefused(t *testing.T) {
	var b bytes.Buffer
	if err := WriteWAV(&b, Tone(440, 8000, 10*ms), 8000); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]struct {
		at    int
		value byte
	}{"stereo": {22, 2}, "8 bit": {34, 8}, "44.1 kHz": {24, 0x44}, "µ-law": {20, 7}, "no RIFF": {0, 'X'}} {
		bad := slices.Clone(b.Bytes())
		bad[change.at] = change.value
		if _, _, err := ReadWAV(bytes.NewReader(bad)); !errors.Is(err, ErrWAV) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := ReadWAV(bytes.NewReader(b.Bytes()[:30])); err == nil {
		t.Error("a cut header is read")
	}
}

func TestResamplingKeepsTonesAndRemovesAliases(t *testing.T) {
	for _, r := range [][2]int{{8000, 16000}, {8000, 48000}, {16000, 8000}, {16000, 48000}, {48000, 8000}, {48000, 16000}, {8000, 8000}} {
		out, err := Resample(Tone(1000, r[0], time.Second), r[0], r[1])
		if err != nil || len(out) != r[1] {
			t.Fatalf("%v: %d samples, %v", r, len(out), err)
		}
		if l, v := ToneLevel(out, r[1], 1000), Level(out); l < 0.99 || math.Abs(v+15) > 0.3 {
			t.Errorf("%v: tone %.3f at %.1f dBFS", r, l, v)
		}
	}
	out, err := Resample(Tone(6000, 16000, time.Second), 16000, 8000) // would fold to 2 kHz
	if err != nil || Level(out[200:7800]) > -65 {
		t.Errorf("alias at %.1f dBFS, %v", Level(out[200:7800]), err)
	}
	if _, err := Resample(out, 8000, 11025); err == nil {
		t.Error("11025 Hz accepted")
	}
}

func TestToneDetectionTellsTonesApart(t *testing.T) {
	pcm := Tone(440, 8000, time.Second)
	if ToneLevel(pcm, 8000, 440) < 0.99 || ToneLevel(pcm, 8000, 1000) > 0.001 || ToneLevel(make([]int16, 8000), 8000, 440) != 0 {
		t.Error("levels wrong")
	}
	if f, _ := DominantTone(pcm, 8000); math.Abs(f-440) > 2 {
		t.Errorf("dominant %.1f", f)
	}
	if f, l := DominantTone(nil, 8000); f != 0 || l != 0 {
		t.Error("a tone in nothing")
	}
	quiet := make([]int16, 8000/4)
	at, ok := ToneOnset(slices.Concat(quiet, pcm), 8000, 440)
	if !ok || abs(at-2000) > 80 {
		t.Errorf("onset at %d, %v", at, ok)
	}
	if _, ok := ToneOnset(quiet, 8000, 440); ok {
		t.Error("onset in silence")
	}
}

func TestSilenceIsSilent(t *testing.T) {
	for _, c := range []Codec{PCMA, PCMU, G722, Opus} {
		rate := EncodeRate(c)
		dec, _ := NewDecoder(c, rate)
		pcm := make([]int16, rate*maxPacketMillis/1000)
		frame := SilenceFrame(c, c.Ticks(20*ms))
		for range 10 {
			n, err := dec.Decode(frame, pcm)
			if err != nil || n != rate/50 {
				t.Fatalf("%v: %d samples, %v", c, n, err)
			}
			if l := Level(pcm[:n]); l > -60 {
				t.Errorf("%v: silence at %.0f dBFS", c, l)
			}
		}
	}
	if v := OpusVersion(); v == "" {
		t.Error("no libopus version")
	}
}
