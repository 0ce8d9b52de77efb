import type { Key } from '../i18n/dictionary'

// The rules of admin/user.go, so that most mistakes are told at the field. The API decides.
const login = /^[a-z0-9][a-z0-9._@+-]{1,63}$/
const target = /^(phone:[0-9]{2,8}|trunk:[a-z0-9][a-z0-9-]{0,31}\/[0-9A-Za-z._+*#-]{1,32})$/

export function checkLogin(s: string): Key | undefined {
  return login.test(s.trim().toLowerCase()) ? undefined : 'field.login'
}

export function checkPassword(s: string): Key | undefined {
  return [...s].length >= 10 ? undefined : 'field.password'
}

export function checkTargets(list: string[]): Key | undefined {
  return list.every((s) => target.test(s)) ? undefined : 'field.target'
}
