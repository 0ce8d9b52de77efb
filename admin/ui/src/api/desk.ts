import { api, data, type Schemas } from './client'
import { Problem } from './problem'

// The operations of customers, callbacks, agents, lines, templates and recordings, one function each.

/** Texts of a decision are shown by key and params, see lib/decision.ts. */
export type Decision = Schemas['Decision']
export type Permission = Schemas['Permission']
export type Proof = Schemas['KeptDecision']
export type Recording = Schemas['RecordingView']
export type Peaks = Schemas['Peaks']
export type CustomerDetail = Schemas['CustomerDetail']
export type CustomerLine = Schemas['CustomerLineView']
export type Message = Schemas['MessageView']
export type PermissionEvent = Schemas['PermissionEvent']
export type Callback = Schemas['CallbackView']
export type Entry = Schemas['TimelineEntry']
export type Sent = Schemas['SentView']
/** A template with what its places are filled with. */
export type Filled = Schemas['TemplateUse']
export type Agent = Schemas['AgentState']
export type Difference = Schemas['LineDifference']
export type Line = Schemas['LineDetail']
export type Template = Schemas['Template']
export type NewTemplate = Schemas['NewTemplateBody']

/** A key that makes a repeated request count once (Idempotency-Key). The same key with another request is refused. */
export function onceKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('')
}

const by = (id: string) => ({ path: { id } })
const once = (key: string) => ({ 'Idempotency-Key': key })

// Calls and recordings.
export const callDecision = (call: string) => data(api.GET('/api/v1/calls/{id}/decision', { params: by(call) }))
export const callRecordings = async (call: string) =>
  (await data(api.GET('/api/v1/calls/{id}/recordings', { params: by(call) }))).recordings

/** The waveform; null: it is being made, ask again. */
export async function recordingPeaks(id: string): Promise<Peaks | null> {
  const answer = await api.GET('/api/v1/recordings/{id}/peaks', { params: by(id) }).catch(() => {
    throw new Problem({ code: 'offline', status: 0, detail: '' })
  })
  if (!answer.response.ok) throw Problem.of(answer.response, answer.error)
  return answer.response.status === 202 ? null : (answer.data as Peaks)
}

export const formats = ['ogg', 'wav', 'customer', 'agent'] as const
export type Format = (typeof formats)[number]
const sound = (id: string, what: string, format: Format) =>
  `/api/v1/recordings/${encodeURIComponent(id)}/${what}?format=${format}`
export const audioURL = (id: string, format: Format) => sound(id, 'audio', format)
export const downloadURL = (id: string, format: Format) => sound(id, 'download', format)

/** Begins, pauses or resumes the recording of a running call. */
export const toggleRecording = (call: string) =>
  data(api.POST('/api/v1/live/calls/{id}/recording', { params: by(call) }))

// Customers.
export const customer = (id: string) => data(api.GET('/api/v1/customers/{id}', { params: by(id) }))
export const customerTimeline = (id: string, before?: string) =>
  data(api.GET('/api/v1/customers/{id}/timeline', { params: { ...by(id), query: { before, limit: 50 } } }))
export const askPermission = (id: string, body: Schemas['SendAskBody'], key: string) =>
  data(api.POST('/api/v1/customers/{id}/ask', { params: by(id), body, headers: once(key) }))
export const sendButton = (id: string, body: Schemas['SendButtonBody'], key: string) =>
  data(api.POST('/api/v1/customers/{id}/button', { params: by(id), body, headers: once(key) }))
export const sendMessage = (id: string, body: Schemas['SendMessageBody'], key: string) =>
  data(api.POST('/api/v1/customers/{id}/message', { params: by(id), body, headers: once(key) }))
export const callCustomer = (id: string, line: string, key: string) =>
  data(api.POST('/api/v1/customers/{id}/call', { params: by(id), body: { line }, headers: once(key) }))
export const blockCustomer = (id: string, reason: string) =>
  data(api.POST('/api/v1/customers/{id}/block', { params: by(id), body: { reason } }))
export const unblockCustomer = (id: string, reason: string) =>
  data(api.POST('/api/v1/customers/{id}/unblock', { params: by(id), body: { reason } }))
export const overrideLimits = (id: string, body: Schemas['OverrideCustomerBody']) =>
  data(api.POST('/api/v1/customers/{id}/override', { params: by(id), body }))

// Callbacks and agents.
export const callbacks = (state: 'live' | 'all', after?: string) =>
  data(api.GET('/api/v1/callbacks', { params: { query: { state, after } } }))
export const changeCallback = (id: string, body: Schemas['PutCallbackBody']) =>
  data(api.PUT('/api/v1/callbacks/{id}', { params: by(id), body }))
export const agents = async () => (await data(api.GET('/api/v1/agents'))).agents
export const setAvailable = (target: string, available: boolean) =>
  data(api.PUT('/api/v1/agents/{target}/availability', { params: { path: { target } }, body: { available } }))

// Lines and templates.
export const lines = async () => (await data(api.GET('/api/v1/lines'))).lines
export const applyLine = (id: string) => data(api.POST('/api/v1/lines/{id}/apply', { params: by(id) }))
export const adoptLine = (id: string) => data(api.POST('/api/v1/lines/{id}/adopt', { params: by(id) }))
export const overrideHours = (id: string, body: Schemas['OverrideLineBody']) =>
  data(api.PUT('/api/v1/lines/{id}/override', { params: by(id), body }))
export const templates = async (line: string) =>
  (await data(api.GET('/api/v1/lines/{id}/templates', { params: by(line) }))).templates
export const createTemplate = (line: string, body: NewTemplate, key: string) =>
  data(api.POST('/api/v1/lines/{id}/templates', { params: by(line), body, headers: once(key) }))
export const deleteTemplate = (line: string, name: string) =>
  data(api.DELETE('/api/v1/lines/{id}/templates/{name}', { params: { path: { id: line, name } } }))
