package frontdesk

import "strings"

// payloadPrefix begins the payload of our own call buttons. Customers can put anything into a deep link, so what follows only
// chooses whose phone rings first.
const payloadPrefix = "agent="

// AgentPayload is the payload of a call button that leads the customer's call to this agent.
func AgentPayload(agent string) string {
	if agent == "" {
		return ""
	}
	return payloadPrefix + agent
}

// PayloadAgent is whose phone is to ring first, by the payload of a customer's call; empty: nobody in particular. The name is
// a stranger's word: it must be looked up among the phones of the line's route.
func PayloadAgent(payload string) string {
	agent, ok := strings.CutPrefix(payload, payloadPrefix)
	if !ok || len(agent) > 64 {
		return ""
	}
	return agent
}
