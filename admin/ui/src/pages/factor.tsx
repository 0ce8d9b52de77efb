import { Alert, Button, Group, SimpleGrid, Stack, Text, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { api, data, type Schemas } from '../api/client'
import { meQuery, useMe } from '../app/session'
import { useText } from '../i18n/text'
import { Copy } from '../kit/copy'
import { Dialog } from '../kit/dialog'
import { useNotify } from '../kit/notify'
import { Section } from '../kit/page'
import { Password } from '../kit/password'
import { Failure } from '../kit/problem'

/** The second factor: on or off, and the ways there. */
export function Factor() {
  const { t } = useText()
  const { user } = useMe()
  const [doing, setDoing] = useState<'on' | 'off'>()
  return (
    <Section title={t('profile.factor')}>
      <Text>{t(user.totp ? 'profile.factorOn' : 'profile.factorOff')}</Text>
      <Group>
        <Button variant="default" onClick={() => setDoing(user.totp ? 'off' : 'on')}>
          {t(user.totp ? 'profile.factorStop' : 'profile.factorBegin')}
        </Button>
      </Group>
      {doing && <Steps off={doing === 'off'} close={() => setDoing(undefined)} />}
    </Section>
  )
}

/** Password, then the QR code with a first code, then the recovery codes; switching off ends after the password. */
function Steps({ off, close }: { off: boolean; close: () => void }) {
  const { t } = useText()
  const notify = useNotify()
  const queries = useQueryClient()
  const [password, setPassword] = useState('')
  const [code, setCode] = useState('')
  const refresh = () => queries.invalidateQueries({ queryKey: meQuery.queryKey })
  const begin = useMutation({
    mutationFn: async (): Promise<Schemas['Enrolment'] | undefined> => {
      if (!off) return data(api.POST('/api/v1/me/totp', { body: { password } }))
      await data(api.POST('/api/v1/me/totp/disable', { body: { password } }))
      return undefined
    },
    onSuccess: (enrolment) => {
      if (enrolment) return
      notify(t('profile.factorIsOff'))
      void refresh()
      close()
    },
  })
  const confirm = useMutation({
    mutationFn: () => data(api.POST('/api/v1/me/totp/confirm', { body: { code: code.replace(/\s/g, '') } })),
    onSuccess: refresh,
  })
  const submit = (run: () => void) => (e: FormEvent) => {
    e.preventDefault()
    run()
  }
  if (confirm.data) return <Recovery codes={confirm.data.recovery} close={close} />
  if (begin.data) {
    return (
      <Dialog title={t('profile.factor')} close={close}>
        <form onSubmit={submit(() => confirm.mutate())}>
          <Stack>
            <Text>{t('profile.factorScan')}</Text>
            <Group justify="center">
              <img className="qr" src={begin.data.qr} alt={t('profile.qr')} width="256" height="256" />
            </Group>
            <TextInput className="code" label={t('profile.key')} value={begin.data.secret} readOnly />
            <TextInput
              label={t('profile.code')}
              value={code}
              onChange={(e) => setCode(e.currentTarget.value)}
              inputMode="numeric"
              autoComplete="one-time-code"
              maxLength={16}
              required
              data-autofocus
            />
            {confirm.isError && <Failure error={confirm.error} />}
            <Button type="submit" loading={confirm.isPending}>
              {t('profile.confirm')}
            </Button>
          </Stack>
        </form>
      </Dialog>
    )
  }
  return (
    <Dialog title={t('profile.factor')} close={close}>
      <form onSubmit={submit(() => begin.mutate())}>
        <Stack>
          <Password
            label={t('profile.factorPassword')}
            value={password}
            onChange={(e) => setPassword(e.currentTarget.value)}
            autoComplete="current-password"
            required
            data-autofocus
          />
          {begin.isError && <Failure error={begin.error} />}
          <Button type="submit" color={off ? 'red' : undefined} loading={begin.isPending}>
            {t(off ? 'profile.factorStop' : 'profile.factorBegin')}
          </Button>
        </Stack>
      </form>
    </Dialog>
  )
}

function Recovery({ codes, close }: { codes: string[]; close: () => void }) {
  const { t } = useText()
  return (
    <Dialog title={t('profile.recovery')} close={close}>
      <Stack>
        <Alert color="leaf" title={t('profile.factorIsOn')}>
          {t('profile.recoveryText')}
        </Alert>
        <SimpleGrid cols={2} spacing="xs" component="ul" className="cards">
          {codes.map((c) => (
            <li key={c}>
              <code>{c}</code>
            </li>
          ))}
        </SimpleGrid>
        <Group justify="flex-end">
          <Copy text={codes.join('\n')} />
          <Button size="xs" onClick={close}>
            {t('profile.recoveryDone')}
          </Button>
        </Group>
      </Stack>
    </Dialog>
  )
}
