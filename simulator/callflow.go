package simulator

import (
	"context"
	"time"
)

const deviceTimeout = 10 * time.Second

// beginOutbound: the request is accepted, now the network finds the customer. first is closed when the connect webhook
// was delivered once.
func (c *call) beginOutbound(offer string, first chan struct{}) {
	c.ep.state(StateDialling)
	t := c.m.timing
	delay := t.ConnectToAnswer
	if c.delivery.ConnectFirst {
		delay = 0
	}
	c.after(delay, func() { c.answerOutbound(offer, first) })
	c.after(t.NoAnswer, func() {
		if c.state != StateConnected {
			c.end(End{By: ByNetwork, Reason: "no_answer"})
		}
	})
}

func (c *call) answerOutbound(offer string, first chan struct{}) {
	if c.over {
		return
	}
	// A device may take its time (a browser page does): the actor stays free meanwhile.
	c.m.spawn("outbound answer", func() {
		ctx, cancel := context.WithTimeout(c.ctx, deviceTimeout)
		defer cancel()
		sdp, err := c.ep.answerTo(ctx, offer)
		c.do(func() {
			if c.over {
				return
			}
			if err != nil {
				c.m.log.Warn("customer could not answer the offer", "wacid", c.id, "err", err)
				c.end(End{By: ByNetwork, Reason: "setup", Code: 138019})
				return
			}
			c.localSDP, c.signalled = sdp, true
			u := c.connectUpdate(obj{"sdp_type": "answer", "sdp": sdp})
			u.sent = first
			c.emit(u)
			c.after(c.m.timing.AnswerToRinging, c.ringOutbound)
		})
	})
}

func (c *call) ringOutbound() {
	if c.over || c.cust.config().Offline {
		return
	}
	c.emit(c.statusUpdate("RINGING"))
	c.setState(StateRinging)
}

// pickUp is the customer taking an outbound call. Audio and ACCEPTED race each other.
func (c *call) pickUp() {
	if c.over || !c.outbound || c.state == StateConnected {
		return
	}
	now := time.Now()
	c.ep.accepted(now)
	c.pickedUp(now)
	lead := c.m.between(c.m.timing.FirstRTPMin, c.m.timing.FirstRTPMax)
	status := c.statusUpdate("ACCEPTED")
	if lead < 0 {
		c.ep.startSending()
		c.after(-lead, func() { c.emit(status) })
		return
	}
	c.emit(status)
	c.after(lead, func() {
		if !c.over {
			c.ep.startSending()
		}
	})
}

// decline is the customer refusing an outbound call.
func (c *call) decline() {
	if c.over || c.state == StateConnected {
		return
	}
	if c.outbound {
		c.emit(c.statusUpdate("REJECTED"))
	}
	c.end(End{By: ByCustomer, Reason: "declined"})
}

// beginInbound: the customer dialled; the business hears of it a moment later.
func (c *call) beginInbound(sdp string) {
	c.localSDP = sdp
	c.ep.state(StateDialling)
	c.after(c.m.timing.DialToConnect, func() {
		if c.over {
			return // hung up at once: only a terminate follows
		}
		c.signalInbound()
	})
}

func (c *call) signalInbound() {
	c.signalled = true
	c.emit(c.connectUpdate(obj{"sdp_type": "offer", "sdp": c.localSDP}))
	c.setState(StateRinging)
	c.countInbound()
	c.after(c.m.timing.AnswerDeadline, func() {
		if c.state != StateConnected {
			c.end(End{By: ByNetwork, Reason: "no_answer"})
		}
	})
}

// countInbound is what a call of the customer does, answered or not: the window opens (§11.3), and permission to call back
// is given when the number is set so (§9.1).
func (c *call) countInbound() {
	if c.counted {
		return
	}
	c.counted = true
	now := c.m.clock.Now()
	c.m.mu.Lock()
	p := c.m.permissionOf(c.num, c.cust)
	p.window = now.Add(day)
	kind, _ := p.status(now)
	grant := c.num.callback() && kind != PermissionPermanent && !c.cust.config().Companion
	if grant {
		p.grantTemporary(now)
	}
	c.m.mu.Unlock()
	if grant {
		c.m.sendPermissionReply(c.num, c.cust, permissionReply{
			response: "accept", source: "automatic", contextID: c.id, expires: now.Add(temporaryFor), at: now})
	}
}
