import type { Schemas } from '../api/client'

type Call = Schemas['CallView']

/** What the stream of /api/v1/events says; every connection begins with calls. */
export type Told = { calls: Call[] } | { call: Call } | { gone: string } | { lost: true }

export type Live = { calls: Call[]; connected: boolean; known: boolean }

export const nothing: Live = { calls: [], connected: false, known: false }

/** The running calls after one more event, the longest running first. */
export function told(live: Live, e: Told): Live {
  if ('lost' in e) return { ...live, connected: false }
  if ('calls' in e) return { calls: sorted(e.calls), connected: true, known: true }
  if ('gone' in e) return { ...live, calls: live.calls.filter((c) => c.id !== e.gone) }
  return { ...live, calls: sorted([...live.calls.filter((c) => c.id !== e.call.id), e.call]) }
}

function sorted(calls: Call[]): Call[] {
  return [...calls].sort((a, b) => a.offered_at.localeCompare(b.offered_at) || a.id.localeCompare(b.id))
}
