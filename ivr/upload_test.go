package ivr

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"deskbridge/bridge"
	"deskbridge/media"
)

// wavFile is a WAV file of a tone; in stereo the right side is silent.
func wavFile(t testing.TB, rate, channels int, d time.Duration) []byte {
	t.Helper()
	var pcm []int16
	for _, v := range media.Tone(440, rate, d) {
		pcm = append(pcm, v)
		if channels == 2 {
			pcm = append(pcm, 0)
		}
	}
	var b bytes.Buffer
	if err := media.WriteWAV(&b, pcm, rate); err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint16(b.Bytes()[22:], uint16(channels))
	return b.Bytes()
}

func TestUploadsOfEveryRateAreTaken(t *testing.T) {
	l := newLibrary(t)
	for _, rate := range []int{8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000} {
		for channels := 1; channels <= 2; channels++ {
			if err := l.Replace("en/goodbye.wav", wavFile(t, rate, channels, time.Second)); err != nil {
				t.Fatal(err)
			}
			pcm := l.Say(t.Context(), "en", Prompt("goodbye"))
			want, level := time.Second+pauseStop, -15.05 // a sine of -12 dBFS peak
			if channels == 2 {
				level -= 6.02
			}
			if d := time.Duration(len(pcm)) * time.Second / Rate; d < want-time.Millisecond || d > want {
				t.Errorf("%d Hz, %d channels: %v", rate, channels, d)
			}
			tone := pcm[Rate/10 : Rate*9/10]
			if f, share := media.DominantTone(tone, Rate); f < 439 || f > 441 || share < 0.99 {
				t.Errorf("%d Hz, %d channels: %.0f Hz at %.3f", rate, channels, f, share)
			}
			if d := media.Level(tone) - level; d < -0.1 || d > 0.1 {
				t.Errorf("%d Hz, %d channels: %.2f dB off", rate, channels, d)
			}
		}
	}
}

func TestResamplingLeavesNoAliases(t *testing.T) {
	for _, rate := range []int{22050, 44100, 48000} {
		pcm := resample(media.Tone(9500, rate, time.Second), rate) // above what 16 kHz can hold
		if level := media.Level(pcm[Rate/10 : Rate*9/10]); level > -70 {
			t.Errorf("%d Hz: 9.5 kHz came through at %.0f dBFS", rate, level)
		}
	}
}

func TestUploadsThatAreRefusedSayWhatToDo(t *testing.T) {
	l := newLibrary(t)
	tone := wavFile(t, 16000, 1, time.Second)
	change := func(at int, v uint16) []byte {
		b := bytes.Clone(tone)
		binary.LittleEndian.PutUint16(b[at:], v)
		return b
	}
	for _, c := range []struct {
		name  string
		audio []byte
		err   error
		says  string
	}{
		{"en/none.wav", tone, ErrUploadName, "list of prompts"},
		{"fr/goodbye.wav", tone, ErrUploadName, "list of prompts"},
		{"../en/goodbye.wav", tone, ErrUploadName, "list of prompts"},
		{"goodbye.wav", tone, ErrUploadName, "list of prompts"},
		{"en/goodbye.mp3", tone, ErrUploadName, "end it with .wav or .opus"},
		{"names/.wav", tone, ErrUploadName, "customer's ID"},
		{"names/a b.wav", tone, ErrUploadName, "customer's ID"},
		{"names/" + strings.Repeat("a", 65) + ".wav", tone, ErrUploadName, "customer's ID"},
		{"en/goodbye.wav", make([]byte, MaxUpload+1), ErrAudio, "at most 2097152"},
		{"en/goodbye.wav", nil, ErrAudio, "save it as 16 bit WAV"},
		{"en/goodbye.wav", []byte("ID3 and the rest of an MP3 file"), ErrAudio, "save it as 16 bit WAV"},
		{"en/goodbye.opus", []byte("OggS is all there is"), ErrAudio, "save it as Ogg Opus"},
		{"en/goodbye.wav", change(20, 3), ErrAudio, "16 bit PCM"},
		{"en/goodbye.wav", change(22, 6), ErrAudio, "mono or stereo"},
		{"en/goodbye.wav", change(34, 24), ErrAudio, "16 bit PCM"},
		{"en/goodbye.wav", change(24, 12345), ErrAudio, "8000, 16000, 44100 or 48000"},
		{"en/goodbye.wav", tone[:44], ErrAudio, "record it again"},
		{"en/goodbye.wav", tone[:40], ErrAudio, "no audio"},
		{"en/goodbye.wav", append(bytes.Clone(tone[:44]), make([]byte, 32000)...), ErrAudio, "silent"},
		{"en/goodbye.wav", wavFile(t, 16000, 1, 61*time.Second), ErrAudio, "longer than 1m0s"},
	} {
		err := l.Check(c.name, c.audio)
		if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v with %q", c.name, err, c.err, c.says)
		}
		if got := l.Replace(c.name, c.audio); got == nil {
			t.Errorf("%s was taken", c.name)
		}
	}
	if len(l.uploads) != 0 {
		t.Errorf("%d uploads are kept", len(l.uploads))
	}
}

func TestUploadTakesTheBuiltInPlaceUntilItIsRestored(t *testing.T) {
	l := newLibrary(t)
	built := l.Say(t.Context(), "id", Prompt("goodbye"))
	if err := l.Replace("id/goodbye.wav", wavFile(t, 16000, 1, time.Second)); err != nil {
		t.Fatal(err)
	}
	if f, _ := media.DominantTone(l.Say(t.Context(), "id", Prompt("goodbye")), Rate); f < 439 || f > 441 {
		t.Errorf("%.0f Hz is said", f)
	}
	if f, _ := media.DominantTone(l.Say(t.Context(), "en", Prompt("goodbye")), Rate); f > 439 && f < 441 {
		t.Error("the other language changed too")
	}
	if err := l.Restore("id/goodbye.wav"); err != nil {
		t.Fatal(err)
	}
	if back := l.Say(t.Context(), "id", Prompt("goodbye")); len(back) != len(built) {
		t.Errorf("%d samples, %d before", len(back), len(built))
	}
}

func TestFolderOfUploadsIsLoadedAndBadFilesAreNamed(t *testing.T) {
	l := newLibrary(t)
	built, err := promptFiles.ReadFile("prompts/id/goodbye.opus")
	if err != nil {
		t.Fatal(err)
	}
	err = l.Load(fstest.MapFS{
		"en/goodbye.opus":  {Data: built},
		"en/wait.wav":      {Data: wavFile(t, 8000, 1, time.Second)},
		"en/available.wav": {Data: []byte("RIFF????WAVE")},
		"names/c1.wav":     {Data: wavFile(t, 48000, 2, time.Second)},
		"notes.txt":        {Data: []byte("hello")},
		".keep":            {},
	})
	if err == nil || !strings.Contains(err.Error(), "en/available.wav") || !strings.Contains(err.Error(), "notes.txt") || strings.Contains(err.Error(), ".keep") {
		t.Errorf("%v", err)
	}
	if len(l.uploads) != 3 {
		t.Errorf("%d uploads", len(l.uploads))
	}
	said := l.Say(t.Context(), "en", Prompt("goodbye"))
	hears(t, l, "id", said, say("goodbye"))
}

func TestAllUploadsTogetherAreBounded(t *testing.T) {
	l := newLibrary(t)
	l.uploads["names/big"] = upload{audio: make([]byte, maxUploads-1000)}
	if err := l.Replace("en/goodbye.wav", wavFile(t, 16000, 1, time.Second)); !errors.Is(err, ErrAudio) || !strings.Contains(err.Error(), "remove some") {
		t.Errorf("%v", err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	l := newLibrary(t)
	for i := range 20 {
		_, _ = l.keep(string(rune('a'+i)), func() ([]int16, error) { return make([]int16, cacheSamples/4), nil })
		sum := 0
		for _, pcm := range l.cache {
			sum += len(pcm)
		}
		if sum != l.cached || sum > cacheSamples {
			t.Fatalf("%d samples cached, %d counted", sum, l.cached)
		}
	}
}

// synthFn is a Synthesizer whose answers are the test's.
type synthFn func(ctx context.Context, lang, text string) ([]int16, error)

func (f synthFn) Speak(ctx context.Context, lang, text string) ([]int16, error) {
	return f(ctx, lang, text)
}

func TestNameIsRecordedElseSpokenElseNumberElseCustomer(t *testing.T) {
	var asked []string
	l, err := NewLibrary(synthFn(func(_ context.Context, lang, text string) ([]int16, error) {
		asked = append(asked, lang+" "+text)
		if text == "Mute" {
			return nil, errors.New("no voice")
		}
		return media.Tone(700, Rate, time.Second), nil
	}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	tone := func(c bridge.Customer) float64 {
		f, _ := media.DominantTone(l.Say(t.Context(), "id", Name(c)), Rate)
		return f
	}
	c := bridge.Customer{ID: "c1", Name: "Budi 🌺", Phone: "62812"}
	if f := tone(c); f < 699 || f > 701 {
		t.Errorf("spoken: %.0f Hz", f)
	}
	tone(c) // from the cache
	if err := l.Replace("names/c1.wav", wavFile(t, 16000, 1, time.Second)); err != nil {
		t.Fatal(err)
	}
	if f := tone(c); f < 439 || f > 441 {
		t.Errorf("recorded: %.0f Hz", f)
	}
	same := func(c bridge.Customer, parts ...Part) {
		t.Helper()
		got, want := l.Say(t.Context(), "id", Name(c)), l.Say(t.Context(), "id", parts...)
		if len(got) != len(want) || len(got) == 0 {
			t.Errorf("%+v: %d samples, want %d", c, len(got), len(want))
		}
	}
	same(bridge.Customer{ID: "c2", Name: "王芳", Phone: "62812"}, Phone("+62812"))
	same(bridge.Customer{ID: "c3", Name: "Mute", Phone: "62812"}, Phone("+62812"))
	same(bridge.Customer{ID: "c4", Name: "🌺", Alias: "999123"}, Phone("999123"))
	same(bridge.Customer{ID: "c5"}, Prompt("customer"))
	if len(asked) != 2 || asked[0] != "id Budi" {
		t.Errorf("asked for %q", asked)
	}
}

func TestNamesAreCutToWhatAVoiceCanSay(t *testing.T) {
	for name, want := range map[string]string{
		"Siti Nurhaliza": "Siti Nurhaliza", "  José-María O'Neill ": "José-María O'Neill", "[[aI]] <break/> R2": "aI break R2",
		"-v en": "-v en", "a\x00b\nc": "a b c", strings.Repeat("ab", 100): strings.Repeat("ab", maxSpoken/2),
	} {
		if got, ok := speakable(name); !ok || got != want {
			t.Errorf("%q: %q %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "123", "王芳", "Budi 王", "Дмитрий", "🌺🌺"} {
		if got, ok := speakable(name); ok {
			t.Errorf("%q: %q", name, got)
		}
	}
}

func TestEspeakSpeaksAName(t *testing.T) {
	e, err := FindEspeak()
	if err != nil {
		t.Skip("espeak-ng is not installed")
	}
	for _, lang := range Languages {
		pcm, err := e.Speak(t.Context(), lang, "Siti Nurhaliza")
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Duration(len(pcm)) * time.Second / Rate; d < 500*time.Millisecond || d > 3*time.Second {
			t.Errorf("%s: %v", lang, d)
		}
		if p := peak(pcm); p < 20000 || p > 20700 {
			t.Errorf("%s: peak %d", lang, p)
		}
	}
	if _, err := e.Speak(t.Context(), "en", "--version"); err != nil { // a text, not an option
		t.Error(err)
	}
	if _, err := e.Speak(t.Context(), "xx", "Siti"); !errors.Is(err, ErrUnspeakable) {
		t.Errorf("%v", err)
	}
}

func TestEspeakThatHangsOrRunsOnIsEnded(t *testing.T) {
	for name, script := range map[string]string{
		"hangs":    "exec sleep 60",
		"runs on":  "exec cat /dev/zero",
		"fails":    "exit 3",
		"is quiet": "exit 0",
		"rubbish":  "echo this is no WAV file",
	} {
		path := filepath.Join(t.TempDir(), "espeak")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if pcm, err := (&Espeak{path: path, busy: make(chan struct{}, 1)}).Speak(ctx, "en", "Siti"); err == nil {
			t.Errorf("a program that %s: %d samples", name, len(pcm))
		}
		cancel()
	}
	busy := &Espeak{path: "/nonexistent", busy: make(chan struct{})}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := busy.Speak(ctx, "en", "Siti"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// FuzzDecodeAudio gives uploads of a stranger's making. Nothing longer than the limit comes out, and nothing panics.
func FuzzDecodeAudio(f *testing.F) {
	f.Add(wavFile(f, 8000, 2, 20*time.Millisecond))
	f.Add(wavFile(f, 44100, 1, 20*time.Millisecond))
	f.Add([]byte("RIFF\x00\x00\x00\x00WAVELIST\xff\xff\xff\xff"))
	f.Add([]byte("RIFF\x00\x00\x00\x00WAVEdata\x00\x00\x00\x00fmt \x10\x00\x00\x00"))
	if b, err := promptFiles.ReadFile("prompts/en/n.1.opus"); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		pcm, err := decodeAudio(b)
		if err == nil && time.Duration(len(pcm))*time.Second/Rate > MaxUploadLength {
			t.Errorf("%d samples", len(pcm))
		}
		if err != nil && !errors.Is(err, ErrAudio) {
			t.Errorf("%v", err)
		}
	})
}
