import { describe, expect, it } from 'vitest'
import { checkLogin, checkPassword, checkTargets } from './check'

describe('the checks of fields', () => {
  it('take logins as the API does', () => {
    expect(['sari', ' Sari ', 'a.b@c+d-e_f'].map(checkLogin)).toEqual([undefined, undefined, undefined])
    expect(['', 'a', '-ab', 'sari w', `a${'b'.repeat(64)}`].map(checkLogin)).toEqual(Array(5).fill('field.login'))
  })
  it('count the characters of a password, not their code units', () => {
    expect(checkPassword('0123456789')).toBeUndefined()
    expect(checkPassword('😀'.repeat(9))).toBe('field.password')
  })
  it('take telephones and numbers of trunks', () => {
    expect(checkTargets(['phone:1001', 'trunk:pbx-1/+62811*'])).toBeUndefined()
    expect(checkTargets(['phone:1001', '1002'])).toBe('field.target')
    expect(checkTargets([])).toBeUndefined()
  })
})
