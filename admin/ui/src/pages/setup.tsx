import { Button, Code, Stack, Text, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useRouter } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { api, data } from '../api/client'
import { isProblem, Problem } from '../api/problem'
import { meQuery, setupQuery } from '../app/session'
import { useText } from '../i18n/text'
import { Password } from '../kit/password'
import { Failure } from '../kit/problem'
import { checkLogin, checkPassword } from '../lib/check'
import { Front } from './front'

const command = 'journalctl -u deskbridge -g "one-time code"'

export function SetupPage() {
  const { t, language } = useText()
  const router = useRouter()
  const queries = useQueryClient()
  const [f, setF] = useState({ code: '', name: '', login: '', password: '', again: '' })
  const [tried, setTried] = useState(false)
  const wrong = {
    code: f.code.trim() === '' ? ('field.required' as const) : undefined,
    login: checkLogin(f.login),
    password: checkPassword(f.password),
    again: f.again === f.password ? undefined : ('field.mismatch' as const),
  }
  const make = useMutation({
    mutationFn: async () => {
      const login = f.login.trim()
      const { code, name, password } = f
      await data(api.POST('/api/v1/setup', { body: { code, name: name.trim(), login, password, language } }))
      await data(api.POST('/api/v1/session', { body: { login, password } }))
    },
    onSuccess: async () => {
      queries.setQueryData(setupQuery.queryKey, false)
      await queries.fetchQuery({ ...meQuery, staleTime: 0 })
      router.history.push('/calls')
    },
  })
  const submit = (e: FormEvent) => {
    e.preventDefault()
    setTried(true)
    if (Object.values(wrong).every((w) => w === undefined)) make.mutate()
  }
  const field = (key: keyof typeof f) => {
    const w = tried && key in wrong ? wrong[key as keyof typeof wrong] : undefined
    return {
      value: f[key],
      onChange: (e: { currentTarget: { value: string } }) => {
        const { value } = e.currentTarget
        setF((old) => ({ ...old, [key]: value }))
      },
      error: w && t(w),
    }
  }
  // The API says of a wrong code what it says of a wrong password; here it can only be the code.
  const denied = isProblem(make.error, 'denied')
  return (
    <Front title={t('setup.title')}>
      <Text>{t('setup.text')}</Text>
      <Text size="sm" c="dimmed">
        {t('setup.where', { command: '' })}
      </Text>
      <Code block className="wrap">
        {command}
      </Code>
      <form onSubmit={submit} noValidate>
        <Stack>
          {make.isError && (
            <Failure
              error={denied ? new Problem({ code: 'invalid', status: 401, detail: t('setup.denied') }) : make.error}
            />
          )}
          <TextInput label={t('setup.code')} autoComplete="off" maxLength={64} required autoFocus {...field('code')} />
          <TextInput label={t('setup.name')} autoComplete="name" maxLength={64} {...field('name')} />
          <TextInput
            label={t('setup.login')}
            description={t('field.login')}
            autoComplete="username"
            autoCapitalize="none"
            spellCheck={false}
            maxLength={64}
            required
            {...field('login')}
          />
          <Password
            label={t('setup.password')}
            description={t('field.password')}
            autoComplete="new-password"
            required
            {...field('password')}
          />
          <Password label={t('setup.again')} autoComplete="new-password" required {...field('again')} />
          <Button type="submit" loading={make.isPending}>
            {t('setup.submit')}
          </Button>
        </Stack>
      </form>
    </Front>
  )
}
