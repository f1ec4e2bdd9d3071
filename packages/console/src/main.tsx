import './design/style.css'
import { render } from 'preact'
import { App } from './app.tsx'
import { startTheme } from './design/theme.ts'

startTheme()
const place = document.getElementById('console')
if (place !== null) render(<App />, place)
