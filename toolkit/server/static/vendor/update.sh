#!/usr/bin/env bash
# Fetch what the pages use of others, as vendor.toml names it, with npm; to be run by hand when a version changes.
# Users never need node: the files are in Git and in the wheel. `make vendor` calls this.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private": true, "type": "module"}' > package.json
npm install --silent --no-save htmx.org@2.0.11 echarts@6.1.0 lucide-static@1.62.0 axe-core@4.14.1 esbuild@0.28.2
modules=node_modules
put() { mkdir -p "$here/$2"; cp "$modules/$1" "$here/$2/"; }
put htmx.org/dist/htmx.min.js htmx-2.0.11
put htmx.org/LICENSE htmx-2.0.11
put echarts/LICENSE echarts-6.1.0
put echarts/NOTICE echarts-6.1.0
cp "$modules/zrender/LICENSE" "$here/echarts-6.1.0/LICENSE-zrender"
cp "$modules/tslib/LICENSE.txt" "$here/echarts-6.1.0/LICENSE-tslib"
cp "$here/charts.entry.js" .
"$modules/.bin/esbuild" charts.entry.js --bundle --format=esm --minify --legal-comments=none --target=es2020 \
  --outfile="$here/echarts-6.1.0/echarts.min.js" --log-level=warning
put lucide-static/LICENSE lucide-1.62.0
{
  echo '<svg xmlns="http://www.w3.org/2000/svg">'
  while read -r icon; do
    inside=$(tr '\n' ' ' < "$modules/lucide-static/icons/$icon.svg" | sed 's/.*<svg[^>]*>//; s/<\/svg>.*//; s/  */ /g; s/> </></g; s/^ //; s/ $//')
    echo "<symbol id=\"$icon\" viewBox=\"0 0 24 24\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"2\"" \
      "stroke-linecap=\"round\" stroke-linejoin=\"round\">$inside</symbol>"
  done < "$here/icons.txt"
  echo '</svg>'
} > "$here/lucide-1.62.0/icons.svg"
# For tests alone: it is not in the wheel.
mkdir -p "$here/../../../../tests/support/axe-4.14.1"
cp "$modules/axe-core/axe.min.js" "$modules/axe-core/LICENSE" "$here/../../../../tests/support/axe-4.14.1/"
cd "$here" && sha256sum htmx-*/*.js echarts-*/*.js lucide-*/*.svg
