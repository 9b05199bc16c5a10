/* report_png.c - an SVG as a PNG file, by librsvg where vinci was built with it. */
#include "bench/report.h"

#ifdef HAVE_RSVG
#include <librsvg/rsvg.h>

enum { SCALE = 2, WIDTH = 720, HEIGHT = 400 };

enum vinci_status report_png(const struct buf *svg, const char *path, struct vinci_error *err)
{
    GError *error = NULL;
    enum vinci_status status = VINCI_OK;
    cairo_surface_t *surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, SCALE * WIDTH, SCALE * HEIGHT);
    cairo_t *cairo = cairo_create(surface);
    RsvgHandle *handle =
        rsvg_handle_new_from_data((const guint8 *)svg->data, (gsize)svg->size, &error);
    RsvgRectangle all = {0, 0, SCALE * WIDTH, SCALE * HEIGHT};
    if (!handle || !rsvg_handle_render_document(handle, cairo, &all, &error))
        status = fail(err, VINCI_FAILED, "%s: librsvg: %s", path, error ? error->message : "?");
    else if (cairo_surface_write_to_png(surface, path) != CAIRO_STATUS_SUCCESS)
        status = fail(err, VINCI_IO, "%s: cannot be written", path);
    g_clear_error(&error);
    g_clear_object(&handle);
    cairo_destroy(cairo);
    cairo_surface_destroy(surface);
    return status;
}

#else

enum vinci_status report_png(const struct buf *svg, const char *path, struct vinci_error *err)
{
    (void)svg;
    return fail(err, VINCI_UNSUPPORTED, "%s: vinci was built without librsvg; --svg works", path);
}

#endif
