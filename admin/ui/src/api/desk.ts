import { Problem } from './problem'

// The operations of customers, callbacks, agents, lines, templates and recordings, one function each.

/** A decision of the rules (admin.Decision). Texts are shown by key and params, see lib/decision.ts. */
export type Decision = {
  allowed: boolean
  rule: string
  sentence: string
  key: string
  params?: Record<string, string>
  next_allowed?: string
  counters?: Counter[] | null
  possible?: string[] | null
  template?: boolean
  warning?: boolean
  override?: boolean
}

/** One limit and its usage; a window of 0: in a row or at the same time. */
export type Counter = { name: string; scope: string; window_seconds: number; used: number; max: number }

export type Permission = {
  standing: string
  since?: string
  expires?: string
  source?: string
  pending?: { at?: string } | null
  missed?: boolean
}

export type Proof = { decision: Decision; replayed: boolean; permission?: Permission }

export type Mark = { kind: string; at_seconds: number }

export type Recording = {
  id: string
  state: string
  started_at: string
  duration_seconds: number
  bytes: number
  held: boolean
  marks: Mark[] | null
}

/** Points are base64, one byte each: 255 is full scale. */
export type Peaks = { points_per_second: number; seconds: number; customer: string; agent: string }

export type Customer = {
  id?: string
  name?: string
  username?: string
  phone?: string
  alias?: string
  erased: boolean
  blocked?: boolean
}

export type CustomerLine = {
  line: string
  name: string
  permission: Permission
  window_until?: string
  call: Decision
  ask: Decision
  button: Decision
}

export type CustomerDetail = { customer: Customer; lines: CustomerLine[] | null }

export type Message = {
  id: string
  line?: string
  out?: boolean
  kind: string
  text?: string
  template?: string
  status: string
  by?: string
  at?: string
}

export type PermissionEvent = {
  kind: string
  line?: string
  by?: string
  reason?: string
  permanent?: boolean
  expires?: string
  automatic?: boolean
  outcome?: string
}

export type Callback = {
  id: string
  line: string
  /** Only the id for who may not see the customer yet: whoever takes the request sees whom to call. */
  customer: Customer
  call?: string
  source: string
  requested_at: string
  due: string
  owner?: string
  state: string
  expires?: string
  note?: string
  version: number
}

export type Entry = {
  at: string
  kind: string
  call?: import('./client').Schemas['CallView']
  message?: Message
  permission?: PermissionEvent
  callback?: Callback
}

export type Timeline = { entries: Entry[] | null; next?: string }

/** A template with what its places are filled with. */
export type Filled = { name: string; language: string; parameters: string[] }

export type Sent = { sent: boolean; decision: Decision; message?: Message; problem?: string }

export type Agent = {
  target: string
  name: string
  available: boolean
  since?: string
  busy: boolean
  registered: boolean
}

export type Difference = { field: string; wanted: string; actual: string; fix?: string }

export type Line = {
  id: string
  name: string
  enabled: boolean
  open_now: boolean
  next_change?: string
  override?: { open: boolean; until?: string; by?: string } | null
  restrictions: { kind: string; until?: string }[] | null
  quality?: string
  meta: {
    at?: string
    error?: string
    differences?: Difference[] | null
    hours_problem?: string
    pushed?: string
  }
}

export type Template = {
  name: string
  language: string
  status: string
  category: string
  /** permission, button or other */
  kind: string
  rejected?: string
  quality?: string
  parameters?: string[] | null
  header?: string
  body?: string
  footer?: string
  button?: string
}

export type NewTemplate = {
  name: string
  language: string
  category: string
  kind: 'permission' | 'button'
  body: string
  examples: string[]
  footer: string
  button: string
  ttl_hours: number
}

/** A key that makes a repeated request count once (Idempotency-Key). The same key with another request is refused. */
export function onceKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('')
}

type Query = Record<string, string | number | undefined>
type Options = { query?: Query; body?: unknown; once?: string; signal?: AbortSignal }

const seg = encodeURIComponent

async function send(method: string, path: string, o: Options = {}): Promise<{ status: number; body: unknown }> {
  const query = new URLSearchParams()
  for (const [k, v] of Object.entries(o.query ?? {})) if (v !== undefined && v !== '') query.set(k, String(v))
  const headers: Record<string, string> = { 'X-Deskbridge': 'panel' }
  if (o.body !== undefined) headers['Content-Type'] = 'application/json'
  if (o.once) headers['Idempotency-Key'] = o.once
  let response: Response
  try {
    response = await fetch(`/api/v1${path}${query.size > 0 ? `?${query}` : ''}`, {
      method,
      headers,
      body: o.body === undefined ? undefined : JSON.stringify(o.body),
      signal: o.signal,
    })
  } catch (e) {
    if (o.signal?.aborted) throw e
    throw new Problem({ code: 'offline', status: 0, detail: '' })
  }
  const body: unknown = await response.json().catch(() => undefined) // an empty answer has no JSON
  if (!response.ok) throw Problem.of(response, body)
  return { status: response.status, body }
}

async function ask<T>(method: string, path: string, o?: Options): Promise<T> {
  return (await send(method, path, o)).body as T
}

// Calls and recordings.
export const callDecision = (call: string) => ask<Proof>('GET', `/calls/${seg(call)}/decision`)
export const callRecordings = async (call: string) =>
  (await ask<{ recordings: Recording[] | null }>('GET', `/calls/${seg(call)}/recordings`)).recordings ?? []

/** The waveform; null: it is being computed, ask again. */
export async function recordingPeaks(id: string): Promise<Peaks | null> {
  const a = await send('GET', `/recordings/${seg(id)}/peaks`)
  return a.status === 202 ? null : (a.body as Peaks)
}

export const formats = ['ogg', 'wav', 'customer', 'agent'] as const
export type Format = (typeof formats)[number]
export const audioURL = (id: string, format: Format) => `/api/v1/recordings/${seg(id)}/audio?format=${format}`
export const downloadURL = (id: string, format: Format) => `/api/v1/recordings/${seg(id)}/download?format=${format}`

/** Begins, pauses or resumes the recording of a running call. */
export const toggleRecording = (call: string) => ask('POST', `/live/calls/${seg(call)}/recording`)

// Customers.
export const customer = (id: string) => ask<CustomerDetail>('GET', `/customers/${seg(id)}`)
export const customerTimeline = (id: string, before?: string) =>
  ask<Timeline>('GET', `/customers/${seg(id)}/timeline`, { query: { before, limit: 50 } })

export type Sending = { line: string; text?: string; template?: Filled }
export const askPermission = (id: string, body: Sending, once: string) =>
  ask<Sent>('POST', `/customers/${seg(id)}/ask`, { body, once })
export const sendButton = (id: string, body: { line: string; text?: string }, once: string) =>
  ask<Sent>('POST', `/customers/${seg(id)}/button`, { body, once })
export const sendMessage = (id: string, body: Sending, once: string) =>
  ask<Sent>('POST', `/customers/${seg(id)}/message`, { body, once })
export const callCustomer = (id: string, line: string, once: string) =>
  ask<{ call: string }>('POST', `/customers/${seg(id)}/call`, { body: { line }, once })
export const blockCustomer = (id: string, reason: string) =>
  ask('POST', `/customers/${seg(id)}/block`, { body: { reason } })
export const unblockCustomer = (id: string, reason: string) =>
  ask('POST', `/customers/${seg(id)}/unblock`, { body: { reason } })
export const overrideLimits = (id: string, body: { line: string; reason: string; until: string }) =>
  ask<{ decision: Decision }>('POST', `/customers/${seg(id)}/override`, { body })

// Callbacks and agents.
export const callbacks = (state: 'live' | 'all', after?: string) =>
  ask<{ callbacks: Callback[] | null; next?: string }>('GET', '/callbacks', { query: { state, after } })
export const changeCallback = (
  id: string,
  body: { owner?: string; due?: string; note?: string; state?: 'cancelled'; version: number },
) => ask<Callback>('PUT', `/callbacks/${seg(id)}`, { body })
export const agents = async () => (await ask<{ agents: Agent[] | null }>('GET', '/agents')).agents ?? []
export const setAvailable = (target: string, available: boolean) =>
  ask('PUT', `/agents/${seg(target)}/availability`, { body: { available } })

// Lines and templates.
export const lines = async () => (await ask<{ lines: Line[] | null }>('GET', '/lines')).lines ?? []
export const applyLine = (id: string) => ask('POST', `/lines/${seg(id)}/apply`)
export const adoptLine = (id: string) => ask('POST', `/lines/${seg(id)}/adopt`)
export const overrideHours = (id: string, body: { open?: boolean; until?: string }) =>
  ask('PUT', `/lines/${seg(id)}/override`, { body })
export const templates = async (line: string) =>
  (await ask<{ templates: Template[] | null }>('GET', `/lines/${seg(line)}/templates`)).templates ?? []
export const createTemplate = (line: string, body: NewTemplate, once: string) =>
  ask<Template>('POST', `/lines/${seg(line)}/templates`, { body, once })
export const deleteTemplate = (line: string, name: string) =>
  ask('DELETE', `/lines/${seg(line)}/templates/${seg(name)}`)
