import { Alert, Button, Stack, Text, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useRouter, useSearch } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { api, data } from '../api/client'
import { isProblem } from '../api/problem'
import { backTo, meQuery } from '../app/session'
import { useText } from '../i18n/text'
import { Password } from '../kit/password'
import { Failure } from '../kit/problem'
import { Front } from './front'

export function SignInPage() {
  const { t } = useText()
  const { ended, ...search } = useSearch({ from: '/sign-in' })
  const router = useRouter()
  const queries = useQueryClient()
  const [login, setLogin] = useState('')
  const [password, setPassword] = useState('')
  const [code, setCode] = useState('')
  const [second, setSecond] = useState(false)
  const signIn = useMutation({
    mutationFn: () =>
      data(
        api.POST('/api/v1/session', { body: { login: login.trim(), password, ...(second && { code: code.trim() }) } }),
      ),
    onSuccess: async () => {
      queries.clear()
      await queries.fetchQuery(meQuery)
      router.history.push(backTo(search) ?? '/calls')
    },
    onError: (e) => {
      if (isProblem(e, 'code_needed')) {
        setSecond(true)
        signIn.reset()
      } else setCode('')
    },
  })
  const submit = (e: FormEvent) => {
    e.preventDefault()
    signIn.mutate()
  }
  const other = () => {
    setSecond(false)
    setPassword('')
    setCode('')
    signIn.reset()
  }
  return (
    <Front title={t(second ? 'signIn.codeTitle' : 'signIn.title')}>
      <form onSubmit={submit}>
        <Stack>
          {ended && !signIn.isError && !second && <Alert color="blue">{t('signIn.ended')}</Alert>}
          {signIn.isError && <Failure error={signIn.error} />}
          {second ? (
            <TextInput
              key="code"
              label={t('signIn.code')}
              description={t('signIn.codeHelp')}
              value={code}
              onChange={(e) => setCode(e.currentTarget.value)}
              autoComplete="one-time-code"
              autoCapitalize="none"
              maxLength={64}
              required
              autoFocus
            />
          ) : (
            <>
              <TextInput
                label={t('signIn.login')}
                value={login}
                onChange={(e) => setLogin(e.currentTarget.value)}
                autoComplete="username"
                autoCapitalize="none"
                spellCheck={false}
                maxLength={64}
                required
                autoFocus
              />
              <Password
                label={t('signIn.password')}
                value={password}
                onChange={(e) => setPassword(e.currentTarget.value)}
                autoComplete="current-password"
                required
              />
            </>
          )}
          <Button type="submit" loading={signIn.isPending}>
            {t('signIn.submit')}
          </Button>
          {second ? (
            <Button variant="subtle" onClick={other}>
              {t('signIn.other')}
            </Button>
          ) : (
            <Text size="sm" c="dimmed">
              {t('signIn.forgot')}
            </Text>
          )}
        </Stack>
      </form>
    </Front>
  )
}
