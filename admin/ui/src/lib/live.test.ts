import { describe, expect, it } from 'vitest'
import type { Schemas } from '../api/client'
import { nothing, told } from './live'

const call = (id: string, at: string, state = 'ringing') =>
  ({ id, offered_at: at, state }) as unknown as Schemas['CallView']
const ids = (l: typeof nothing) => l.calls.map((c) => `${c.id} ${c.state}`)

describe('the running calls', () => {
  const two = told(nothing, { calls: [call('b', '2026-11-23T12:01:00Z'), call('a', '2026-11-23T12:00:00Z')] })
  it('stand with the longest first', () => {
    expect(ids(two)).toEqual(['a ringing', 'b ringing'])
    expect(two.connected && two.known).toBe(true)
  })
  it('change in their place, come and go', () => {
    const talking = told(two, { call: call('a', '2026-11-23T12:00:00Z', 'talking') })
    expect(ids(talking)).toEqual(['a talking', 'b ringing'])
    expect(ids(told(talking, { call: call('c', '2026-11-23T12:02:00Z') }))).toEqual([
      'a talking',
      'b ringing',
      'c ringing',
    ])
    expect(ids(told(talking, { gone: 'a' }))).toEqual(['b ringing'])
    expect(ids(told(talking, { gone: 'nobody' }))).toEqual(ids(talking))
  })
  it('stay on the screen while the connection is lost, and are replaced by the next', () => {
    const lost = told(two, { lost: true })
    expect([lost.connected, ids(lost).length]).toEqual([false, 2])
    expect(ids(told(lost, { calls: [] }))).toEqual([])
  })
})
