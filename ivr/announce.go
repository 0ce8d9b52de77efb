package ivr

// Announcement is a menu that says something and ends.
func Announcement(lang, name string, s Speech) Menu { return Menu{Name: name, Lang: lang, Open: s} }

// What feature codes are answered with.
var (
	SayAvailable     = Speech{Prompt("available")}
	SayUnavailable   = Speech{Prompt("unavailable")}
	SayHoursOpen     = Speech{Prompt("hours.open")}
	SayHoursClosed   = Speech{Prompt("hours.closed")}
	SayHoursNormal   = Speech{Prompt("hours.normal")}
	SayNoCallback    = Speech{Prompt("callbacks.none")}
	SayNoMissedCall  = Speech{Prompt("missed.none")}
	SayPaused        = Speech{Prompt("recording.paused")}
	SayResumed       = Speech{Prompt("recording.resumed")}
	SayNotRecording  = Speech{Prompt("recording.none")}
	SayMustRecord    = Speech{Prompt("why.recording")} // the line may not be used unrecorded
	SayUnknownCode   = Speech{Prompt("code.unknown")}
	SayNumberMissing = Speech{Prompt("code.number")} // the code needs a customer's number after it
	SayChoiceMissing = Speech{Prompt("code.choice")} // the code needs one more digit
	SayBadNumber     = Speech{Prompt("number.bad")}
	SayServiceDown   = Speech{Prompt("service.down")}
)

// SayConsent tells that the call is recorded and, unless key is 0, with which key the customer goes on unrecorded.
func SayConsent(key byte) Speech {
	s := Speech{Prompt("recording.consent")}
	switch {
	case key >= '0' && key <= '9':
		s = append(s, Prompt("recording.press"), Number(int(key-'0')), Prompt("recording.refuse"))
	case key == '*':
		s = append(s, Prompt("recording.press"), Prompt("key.star"), Prompt("recording.refuse"))
	case key == '#':
		s = append(s, Prompt("recording.press"), Prompt("key.hash"), Prompt("recording.refuse"))
	}
	return s
}
