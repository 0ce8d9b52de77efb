import { describe, expect, it } from 'vitest'
import { backTo, covers, roles } from './session'

describe('roles', () => {
  it('may what the ones before may', () => {
    expect(roles.map((r) => covers(r, 'supervisor'))).toEqual([false, true, true, true])
  })
  it('that are not known may nothing', () => {
    expect(covers('owner', 'agent')).toBe(false)
  })
})

describe('the way back after signing in', () => {
  it('stays in the panel', () => {
    expect(backTo({ back: '/calls/1?x=//y' })).toBe('/calls/1?x=//y')
    for (const back of [
      '//evil.example',
      '/\\evil.example',
      'https://evil.example',
      'javascript:alert(1)',
      '/sign-in?back=/',
      7,
      undefined,
    ]) {
      expect(backTo({ back }), String(back)).toBeUndefined()
    }
  })
})
