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
	SayUnknownCode   = Speech{Prompt("code.unknown")}
	SayNumberMissing = Speech{Prompt("code.number")} // the code needs a customer's number after it
	SayChoiceMissing = Speech{Prompt("code.choice")} // the code needs one more digit
	SayBadNumber     = Speech{Prompt("number.bad")}
	SayServiceDown   = Speech{Prompt("service.down")}
)
