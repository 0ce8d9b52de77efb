package recorder

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"deskbridge/media"
)

// tool returns a program's path, or skips the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// run runs a program and returns what it writes. A complaint of the program fails the test.
func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), tool(t, name), args...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, complaints.String())
	}
	if name != "opusdec" && complaints.Len() > 0 {
		t.Errorf("%s complains: %s", name, complaints.String())
	}
	return out.Bytes()
}

// stereo takes interleaved 16 bit samples apart.
func stereo(b []byte) (left, right []int16) {
	for ; len(b) >= 4; b = b[4:] {
		left = append(left, int16(binary.LittleEndian.Uint16(b)))
		right = append(right, int16(binary.LittleEndian.Uint16(b[2:])))
	}
	return left, right
}

// roughCall has everything a call can have: loss, jitter, packets out of order and twice, a gap of DTX, 60 ms frames for a while,
// another clock.
func roughCall(t *testing.T, length time.Duration) []Packet {
	t.Helper()
	customer := ms20(Customer, 440)
	customer.ppm = 200
	customer.delay = func(i int) time.Duration {
		return time.Duration(i*7919%23)*millisecond + time.Duration(i%50/49)*70*millisecond
	}
	customer.skip = func(i int) bool { return i%73 == 5 || i%400 > 300 && i%400 < 330 && i%20 > 0 }
	agent := ms20(Agent, 1000)
	agent.skip = func(i int) bool { return i >= 400 && i < 700 }
	long := talker{side: Agent, codec: media.Opus, ptime: 60 * millisecond, begin: 8*time.Second + 5*millisecond, say: tone(1000)}
	packets := simulate(t, length, customer, agent)
	for _, p := range long.packets(t, min(length, 14*time.Second)) {
		p.Timestamp += 77777 // another SSRC
		p.Sequence += 30000
		packets = append(packets, p)
	}
	for i := 0; i < len(packets); i += 37 {
		packets = append(packets, packets[i]) // twice
	}
	return sortPackets(packets)
}

func TestFFmpegPlaysTheStereoExport(t *testing.T) {
	t.Parallel()
	const length = 20 * time.Second
	e, b := export(t, roughCall(t, length), ExportOptions{})
	t.Logf("%+v, %+v", e.Stats(Customer), e.Stats(Agent))
	path := filepath.Join(t.TempDir(), "call.opus")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, decoder := range []string{"opus", "libopus"} { // ffmpeg's own, and Xiph's
		t.Run(decoder, func(t *testing.T) {
			checkRough(t, run(t, "ffmpeg", "-v", "warning", "-c:a", decoder, "-i", path, "-f", "s16le", "-"), length)
		})
	}
	t.Run("ffprobe", func(t *testing.T) {
		out := strings.Fields(string(run(t, "ffprobe", "-v", "warning", "-show_entries", "stream=channels:format=duration", "-of", "csv=p=0", path)))
		if len(out) != 2 || out[0] != "2" {
			t.Fatalf("channels, duration: %q", out)
		}
		// ffprobe counts the pre-skip too.
		if s, err := strconv.ParseFloat(out[1], 64); err != nil || math.Abs(s-length.Seconds()) > 0.03 {
			t.Errorf("lasts %s s", out[1])
		}
	})
	t.Run("opusdec", func(t *testing.T) {
		wav := filepath.Join(t.TempDir(), "call.wav")
		run(t, "opusdec", "--quiet", "--no-dither", path, wav)
		b, err := os.ReadFile(wav)
		if err != nil {
			t.Fatal(err)
		}
		checkRough(t, b[bytes.Index(b, []byte("data"))+8:], length)
	})
}

func checkRough(t *testing.T, pcm []byte, length time.Duration) {
	t.Helper()
	left, right := stereo(pcm)
	got := time.Duration(len(left)) * time.Second / 48000
	if got < length-20*millisecond || got > length+20*millisecond {
		t.Errorf("lasts %v, the call %v", got, length)
	}
	for s := range int(length / time.Second) {
		from, to := s*48000+4800, s*48000+14400 // no loss and no other talker in these 200 ms
		for what, c := range map[string]struct {
			pcm  []int16
			freq float64
		}{"left": {left, 440}, "right": {right, 1000}} {
			if what == "left" && s%8 == 6 { // the gap of DTX
				if l := media.Level(c.pcm[from:to]); l > -60 {
					t.Errorf("left, second %d: %.0f dBFS in a gap", s, l)
				}
				continue
			}
			if f, level := media.DominantTone(c.pcm[from:to], 48000); math.Abs(f-c.freq) > 6 || level < 0.5 {
				t.Errorf("%s, second %d: %.0f Hz at %.2f, want %.0f Hz", what, s, f, level, c.freq)
			}
		}
	}
}

// TestHourStaysTogether: a call of 60 minutes with a customer whose clock is off by 50 ppm. Both sides beep together at nine moments
// from its beginning to its end, and ffmpeg, which seeks to three of them, hears the same.
func TestHourStaysTogether(t *testing.T) {
	t.Parallel()
	for _, ppm := range []float64{50, -50} {
		e, b := export(t, hour(t, ppm), ExportOptions{})
		if d := e.Duration() - time.Hour; d < -20*millisecond || d > 20*millisecond {
			t.Errorf("lasts %v", e.Duration())
		}
		path := filepath.Join(t.TempDir(), "hour.opus")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		f := readOgg(t, b)
		var apart []time.Duration
		for i, from := range heardAt(time.Hour) {
			left, right := f.part(t, from, 6*time.Second)
			apart = append(apart, together(t, left, right, 16000)...)
			if _, err := exec.LookPath("ffmpeg"); err == nil && i%4 == 0 {
				at := strconv.Itoa(int(from.Seconds()))
				left, right := stereo(run(t, "ffmpeg", "-v", "warning", "-c:a", "libopus", "-ss", at, "-t", "6", "-i", path, "-f", "s16le", "-"))
				apart = append(apart, together(t, left, right, 48000)...)
			}
		}
		for _, d := range apart {
			if d <= -20*millisecond || d >= 20*millisecond {
				t.Errorf("%v ppm: apart by %v", ppm, d)
			}
		}
		t.Logf("%v ppm: apart by %v; %+v", ppm, apart, e.Stats(Customer))
	}
}

// together returns by how much the left channel's beeps come after the right's.
func together(t *testing.T, left, right []int16, rate int) (apart []time.Duration) {
	t.Helper()
	for s := time.Second; s < 4*time.Second; s += time.Second {
		l, r := onset(t, left, rate, 440, s), onset(t, right, rate, 1000, s)
		if d := r - s - 500*millisecond; d < -30*millisecond || d > 30*millisecond {
			t.Errorf("the agent beeps at %v", r)
		}
		apart = append(apart, l-r)
	}
	return apart
}

// part decodes a part of a file at 16 kHz.
func (f *oggFile) part(t testing.TB, from, length time.Duration) (left, right []int16) {
	t.Helper()
	first := int(from*48000/time.Second) / slotTicks // all packets are of 20 ms
	g := oggFile{channels: 2, preSkip: f.preSkip, packets: f.packets[first : first+int(length/(20*millisecond))]}
	g.last = int64(len(g.packets)) * slotTicks
	return g.decode(t, false, 16000), g.decode(t, true, 16000)
}

// heardAt returns the moments at which the sides of hour are encoded; elsewhere they are silent, to save time.
func heardAt(length time.Duration) (at []time.Duration) {
	for i := range 9 {
		at = append(at, ((length - 10*time.Second) * time.Duration(i) / 8).Truncate(time.Second))
	}
	return at
}

func hour(t testing.TB, ppm float64) []Packet {
	t.Helper()
	silent := func(at float64) bool {
		for _, from := range heardAt(time.Hour) {
			if d := at - from.Seconds(); d >= 0 && d < 6 {
				return false
			}
		}
		return true
	}
	r := rand.New(rand.NewPCG(3, 4))
	return simulate(t, time.Hour,
		talker{side: Customer, codec: media.Opus, ptime: 20 * millisecond, ppm: ppm, say: beeps(440), silent: silent,
			delay: func(int) time.Duration { return time.Duration(r.ExpFloat64() * 6 * float64(millisecond)) }},
		talker{side: Agent, codec: media.Opus, ptime: 20 * millisecond, begin: 9 * millisecond, say: beeps(1000), silent: silent})
}
