// theme.js - light or dark, before anything is drawn: a page that is dark never flashes white.
// The choice is "light", "dark" or, when there is none, the system's.
'use strict';
(function () {
    const dark = matchMedia('(prefers-color-scheme: dark)');
    function apply() {
        let choice = null;
        try {
            choice = localStorage.getItem('vinci.theme');
        } catch {
            // No storage: the system's choice.
        }
        document.documentElement.dataset.theme = choice ?? (dark.matches ? 'dark' : 'light');
    }
    dark.addEventListener('change', apply);
    addEventListener('storage', apply);
    addEventListener('vinci-theme', apply);
    apply();
})();
