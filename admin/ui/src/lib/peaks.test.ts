import { describe, expect, it } from 'vitest'
import { columns, points, seek } from './peaks'

describe('points', () => {
  it('are the bytes of base64', () => {
    expect([...points('AIH/')]).toEqual([0, 129, 255])
  })
  it('are none where it is not base64', () => {
    expect(points('%%%').length).toBe(0)
  })
})

describe('columns', () => {
  it('hold the loudest point of their time', () => {
    expect(columns(Uint8Array.of(0, 51, 255, 0, 102, 0), 3)).toEqual([0.2, 1, 0.4])
  })
  it('share points when there are more columns than points', () => {
    expect(columns(Uint8Array.of(255, 0), 4)).toEqual([1, 1, 0, 0])
  })
  it('miss no point, whatever the numbers', () => {
    for (const [many, n] of [
      [1000, 7],
      [13, 5],
      [999, 998],
    ] as const) {
      for (let loud = 0; loud < many; loud++) {
        const p = new Uint8Array(many)
        p[loud] = 255
        expect(Math.max(...columns(p, n))).toBe(1)
      }
    }
  })
  it('are silent without points', () => {
    expect(columns(new Uint8Array(), 2)).toEqual([0, 0])
  })
})

describe('seek', () => {
  it('steps, leaps and stays inside', () => {
    expect(seek('ArrowRight', 10, 60)).toBe(15)
    expect(seek('ArrowLeft', 3, 60)).toBe(0)
    expect(seek('PageUp', 50, 60)).toBe(60)
    expect(seek('Home', 50, 60)).toBe(0)
    expect(seek('End', 5, 60)).toBe(60)
    expect(seek('x', 5, 60)).toBeUndefined()
  })
})
