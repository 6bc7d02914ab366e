/* A plan as people and programs read it. */
#ifndef SHARDLM_LAUNCH_PLAN_VIEW_H
#define SHARDLM_LAUNCH_PLAN_VIEW_H

#include "launch/config.h"
#include "launch/forecast.h"

struct plan_view {
    const struct config *config;
    const struct forecast_inputs *inputs;
    const struct forecast_shape *shape;
    int64_t parameters;
};

/* To standard output. */
void plan_view_text(const struct plan_view *view);
void plan_view_json(const struct plan_view *view);

#endif
