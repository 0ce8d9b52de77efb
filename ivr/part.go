package ivr

import (
	"time"

	"deskbridge/bridge"
)

// Speech is what is said, in order, in whichever language the listener has.
type Speech []Part

// Part is a piece of speech: a prompt, or something that each language puts together from prompts in its own way. Make it
// with one of the functions below; the zero Part is silent.
type Part struct {
	kind   partKind
	id     string
	n      int
	at     time.Time
	now    time.Time
	length time.Duration
	who    bridge.Customer
}

type partKind uint8

const (
	partNothing partKind = iota
	partPrompt
	partNumber
	partPhone
	partDate
	partTime
	partWhen
	partCount
	partIn
	partName
	partStop
)

// Unit is what a Count counts: the prompts "unit.<unit>" and, where a language has a plural, "unit.<unit>s".
type Unit string

// The units.
const (
	Minutes Unit = "minute"
	Hours   Unit = "hour"
	Days    Unit = "day"
	Calls   Unit = "call"
)

// Prompt is the prompt of this id (see prompts/en.txt).
func Prompt(id string) Part { return Part{kind: partPrompt, id: id} }

// Number is a cardinal, 0 to 9999; one beyond is said digit by digit.
func Number(n int) Part { return Part{kind: partNumber, n: n} }

// Phone is a phone number, digit by digit in groups. "+" and anything that is no digit is not said, but a leading + is.
func Phone(number string) Part { return Part{kind: partPhone, id: number} }

// Date is "Monday, the thirtieth of November". The zone is at's own.
func Date(at time.Time) Part { return Part{kind: partDate, at: at} }

// TimeOfDay is "at eight a.m.", to the minute. The zone is at's own.
func TimeOfDay(at time.Time) Part { return Part{kind: partTime, at: at} }

// When is a moment in the future as people say it, seen from now and in now's zone: "today at …", "tomorrow at …", or the
// date and time.
func When(at, now time.Time) Part { return Part{kind: partWhen, at: at.In(now.Location()), now: now} }

// Count is "three days", "one call".
func Count(n int, u Unit) Part { return Part{kind: partCount, n: n, id: string(u)} }

// In is "in three days", rounded up to whole minutes, hours from 90 minutes on, days from 36 hours on.
func In(d time.Duration) Part { return Part{kind: partIn, length: d} }

// Name is how a customer is called: by the uploaded recording of the name, else by the name spoken by machine, else by the
// number, else "the customer".
func Name(c bridge.Customer) Part { return Part{kind: partName, who: c} }

// Stop ends a sentence whose last part is not a prompt with a full stop of its own.
func Stop() Part { return Part{kind: partStop} }
