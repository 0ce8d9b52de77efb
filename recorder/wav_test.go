package recorder

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"deskbridge/media"
)

func TestWAVExportHasEachSideInItsChannel(t *testing.T) {
	packets := simulate(t, 3*time.Second, ms20(Customer, 440), ms20(Agent, 1000))
	for f, rate := range map[ExportFormat]int{WAV16k: 16000, WAV48k: 48000} {
		e, b := export(t, packets, ExportOptions{Format: f, Length: 3 * time.Second})
		if string(b[:4]) != "RIFF" || binary.LittleEndian.Uint32(b[4:]) != uint32(len(b)-8) || int(binary.LittleEndian.Uint32(b[24:])) != rate {
			t.Errorf("header %x", b[:wavHeader])
		}
		if n := int(binary.LittleEndian.Uint32(b[40:])); n != len(b)-wavHeader || n != 3*rate*4 || e.ContentType() != "audio/wav" {
			t.Errorf("%d bytes of samples, %s", n, e.ContentType())
		}
		left, right := stereo(b[wavHeader:])
		wantTone(t, "left", left, rate, 440)
		wantTone(t, "right", right, rate, 1000)
	}
}

func TestWAVThatWouldBeTooLongIsRefused(t *testing.T) {
	packets := []Packet{{Codec: media.Opus, Payload: media.SilenceFrame(media.Opus, slotTicks)}}
	_, err := NewExport(t.Context(), opened(packets), ExportOptions{Format: WAV48k, Length: 7 * time.Hour})
	if err == nil || !strings.Contains(err.Error(), "export Ogg Opus") {
		t.Error(err)
	}
}
