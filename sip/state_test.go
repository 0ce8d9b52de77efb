package sip

import (
	"slices"
	"testing"
)

// Every pair of state and input. What is not listed changes nothing.
func TestStateMachineEveryPair(t *testing.T) {
	type pair struct {
		s state
		i input
	}
	type result struct {
		s state
		a []action
	}
	refuse, cancel, bye := []action{doRefuse, doEnd}, []action{doCancel, doEnd}, []action{doBye, doEnd}
	end, later := []action{doEnd}, []action{doByeOnAck, doEnd}
	want := map[pair]result{
		{stIncoming, inAlert}:     {stAlerting, []action{doRing}},
		{stIncoming, inAnnounce}:  {stAlerting, []action{doAnnounce}},
		{stAlerting, inAnnounce}:  {stAlerting, []action{doAnnounce}},
		{stIncoming, inAccept}:    {stAnswered, []action{doOK}},
		{stIncoming, inHangup}:    {stEnded, refuse},
		{stIncoming, inDead}:      {stEnded, refuse},
		{stIncoming, inBye}:       {stEnded, refuse},
		{stIncoming, inCancelled}: {stEnded, end},
		{stAlerting, inAccept}:    {stAnswered, []action{doOK}},
		{stAlerting, inHangup}:    {stEnded, refuse},
		{stAlerting, inDead}:      {stEnded, refuse},
		{stAlerting, inBye}:       {stEnded, refuse},
		{stAlerting, inCancelled}: {stEnded, end},
		{stAnswered, inAcked}:     {stUp, []action{tellAccepted}},
		{stAnswered, inNoAck}:     {stEnded, bye},
		{stAnswered, inHangup}:    {stEnded, later},
		{stAnswered, inDead}:      {stEnded, later},
		{stAnswered, inBye}:       {stEnded, end},
		{stUp, inHangup}:          {stEnded, bye},
		{stUp, inDead}:            {stEnded, bye},
		{stUp, inNoAck}:           {stEnded, bye},
		{stUp, inBye}:             {stEnded, end},
		{stCalling, inRinging}:    {stRinging, []action{tellRinging}},
		{stCalling, inAnswer}:     {stUp, []action{tellAnswered}},
		{stCalling, inFailed}:     {stEnded, end},
		{stCalling, inHangup}:     {stEnded, cancel},
		{stCalling, inDead}:       {stEnded, cancel},
		{stCalling, inBye}:        {stEnded, cancel},
		{stRinging, inAnswer}:     {stUp, []action{tellAnswered}},
		{stRinging, inFailed}:     {stEnded, end},
		{stRinging, inHangup}:     {stEnded, cancel},
		{stRinging, inDead}:       {stEnded, cancel},
		{stRinging, inBye}:        {stEnded, cancel},
	}
	for s := range numStates {
		for i := range numInputs {
			gotState, gotActions := next(s, i)
			w, ok := want[pair{s, i}]
			if !ok {
				w = result{s, nil}
			}
			if gotState != w.s || !slices.Equal(gotActions, w.a) {
				t.Errorf("%s + %s = %s %v, want %s %v", s, i, gotState, gotActions, w.s, w.a)
			}
			if ends := slices.Contains(gotActions, doEnd); ends != (gotState == stEnded && s != stEnded) {
				t.Errorf("%s + %s: doEnd and stEnded disagree", s, i)
			}
		}
	}
}
